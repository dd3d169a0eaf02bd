// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a chunk index; what is accepted is consistent and has one spelling.
#include <cstdlib>

#include "ota/delta/chunk_index.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  const ota::BytesView bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto index = ota::ChunkIndex::parse(bytes);
  if (!index) {
    if (index.error().message.empty() || index.error().message.contains('\n')) std::abort();
    return 0;
  }
  ++fuzz::accepted_count;
  std::uint64_t offset = 0;
  for (const ota::Chunk& chunk : index->chunks) {
    if (chunk.offset != offset || chunk.wire_bytes == 0 || chunk.wire_bytes > chunk.raw_bytes) std::abort();
    offset += chunk.raw_bytes;
  }
  if (offset != index->file_bytes) std::abort();
  const ota::Bytes again = index->serialize();
  if (!std::ranges::equal(again, bytes)) std::abort();
  return 0;
}
