// SPDX-License-Identifier: Apache-2.0
// One firmware through agent::Firmware with whatever `rauc` is on PATH: for tests/agent/ota/real_rauc.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "agent/ota/firmware.h"
#include "ota/store/blob_store.h"

/// usage: firmware_peer SYSTEM_ROOT STORE_ROOT BUNDLE VERSION; 0: runs, 3: the restart is wanted, 1: it failed
int main(int argc, char** argv) {
  using namespace wayside;
  using Kind = ota::Step::Kind;
  if (argc != 5) return 2;
  auto storage = base::DiskStorage::open(argv[2]);
  if (!storage) return 2;
  auto store = ota::BlobStore::open(*storage);
  std::ifstream file(argv[3], std::ios::binary);
  const std::string bundle{std::istreambuf_iterator<char>(file), {}};
  const auto digest = store->put(std::as_bytes(std::span(bundle)));
  if (!digest) return 2;
  const ota::Manifest manifest{.name = "system", .role = "firmware", .version = argv[4]};
  const ota::Variant variant{.id = "test", .accelerator = "rauc", .file = *digest};
  const ota::Job job{.command_id = "f1", .role = "firmware", .target = {.manifest = *digest, .variant = "test"}};
  agent::Firmware firmware({.system_root = argv[1], .store_root = argv[2]}, *storage, base::Clock::real());
  unsigned told = 0;
  for (int i = 0; i < 6000; ++i) {
    const auto step = firmware.install({job, manifest, variant});
    if (firmware.percent() != told) std::printf("%u %%\n", told = firmware.percent());
    if (step.kind == Kind::done) {
      const auto watched = firmware.watch({job, manifest, variant});
      std::printf("%s\n", watched.kind == Kind::done ? "good" : "runs");
      return 0;
    }
    if (step.kind != Kind::working) {
      std::printf("%s\n", step.reason.c_str());
      return 1;
    }
    if (std::filesystem::exists(std::filesystem::path(argv[1]) / "run/waysided/restart")) return 3;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::puts("no end");
  return 1;
}
