// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any text as a manifest; one that is accepted is its own only spelling and closed in itself.
#include <cstdlib>

#include "ota/package/trust.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = ota::Manifest::parse(text);
  if (!manifest) return 0;
  if (manifest->serialize() != text || manifest->variants.empty() || manifest->golden.count == 0) std::abort();
  for (const auto& digest : manifest->referenced()) {
    if (!manifest->files.contains(digest)) std::abort();
  }
  const ota::DeviceFacts device{.board = "host", .runtimes = {{.accelerator = "cpu-int8", .versions = {}}}};
  (void)ota::choose_variant(*manifest, device);
  ++fuzz::accepted_count;
  return 0;
}
