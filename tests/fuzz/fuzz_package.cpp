// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a package file; what is read of it lies inside it, and a manifest that is accepted is its
// own only spelling.
#include <cstdlib>

#include "ota/package/container.h"
#include "ota/package/signatures.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  base::FaultyStorage storage(1);
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  if (!storage.write("package", bytes)) return 0;
  const auto head = ota::read_head(storage, "package");
  if (!head) return 0;
  for (const auto& entry : head->entries) {
    if (entry.offset > size || entry.blob.size_bytes > size - entry.offset) std::abort();
  }
  (void)ota::check_contents(storage, "package", *head);
  (void)ota::parse_signatures(head->signatures);
  const auto manifest = ota::Manifest::parse(head->manifest);
  if (!manifest) return 0;
  if (manifest->serialize() != head->manifest) std::abort();
  (void)ota::check_table(*head, *manifest);
  ++fuzz::accepted_count;
  return 0;
}
