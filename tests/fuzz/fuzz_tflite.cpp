// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a .tflite file; a model that is accepted must run without touching foreign memory.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/conformance/engine_run.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  constexpr std::uint64_t kMostMacs = 50'000'000;  // a damaged shape may ask for minutes of work
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  const conformance::EngineSetup setup{.level = accel::cpu::best_level(), .thread_count = 1};
  const std::vector<std::uint8_t> file(data, data + size);  // of exactly this size and aligned, as a mapped file is
  const auto session = conformance::load_model(file, setup);
  if (!session) {
    if (session.error().message.empty() || session.error().message.contains('\n')) {
      std::fprintf(stderr, "the error message is not one line: '%s'\n", session.error().message.c_str());
      std::abort();
    }
    return 0;
  }
  ++fuzz::accepted_count;
  auto& model = **session;
  if (model.info().mac_count > kMostMacs || model.info().arena_bytes > kMostBytes) return 0;
  for (std::size_t i = 0; i < model.inputs().size(); ++i) {
    for (auto& byte : model.input(i)) byte = std::byte{0x5a};
  }
  if (!model.run()) return 0;
  std::size_t sum = 0;  // reads every output byte, for the sanitizers
  for (std::size_t i = 0; i < model.outputs().size(); ++i) {
    for (const auto byte : model.output(i)) sum += std::to_integer<std::size_t>(byte);
  }
  volatile std::size_t keep = sum;
  (void)keep;
  return 0;
}
