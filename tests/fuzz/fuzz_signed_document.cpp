// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any text as a signed document and what may be inside: a root, a roll-out policy, a manifest.
#include <cstdlib>

#include "ota/package/root.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto envelope = ota::Envelope::parse(text);
  if (!envelope) return 0;
  if (envelope->serialize() != text) std::abort();
  const auto root = ota::Root::parse(envelope->body);
  if (!root) return 0;
  if (root->root.threshold > root->root.keys.size()) std::abort();
  (void)ota::open_first_root(text);
  (void)ota::follow_root(*root, text);
  ++fuzz::accepted_count;
  return 0;
}
