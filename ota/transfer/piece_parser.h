// SPDX-License-Identifier: Apache-2.0
// PieceParser: what looks into pieces of a file that nothing has vouched for yet.
#pragma once

#include "ota/delta/chunk_index.h"
#include "ota/delta/deflate.h"

namespace wayside::ota {

/// Errors: corrupt (it refuses the bytes); any other code: it came to grief itself, take the bytes for an attack.
/// Thread: one. A piece may be megabytes; both calls may block for as long as the implementation allows.
class PieceParser {
 public:
  virtual ~PieceParser() = default;
  virtual base::Result<ChunkIndex> index(BytesView document) = 0;
  /// Exactly `raw_bytes`.
  virtual base::Result<Bytes> inflate(BytesView deflated, std::size_t raw_bytes) = 0;
};

/// In this process: for programs that have nothing to lose.
class LocalPieceParser final : public PieceParser {
 public:
  base::Result<ChunkIndex> index(BytesView document) override { return ChunkIndex::parse(document); }
  base::Result<Bytes> inflate(BytesView deflated, std::size_t raw_bytes) override {
    return inflate_chunk(deflated, raw_bytes);
  }
};

}  // namespace wayside::ota
