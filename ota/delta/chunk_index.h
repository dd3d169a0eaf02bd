// SPDX-License-Identifier: Apache-2.0
// ChunkIndex: the list of chunks of one file: their names, sizes, and sizes on the wire.
#pragma once

#include "ota/delta/byte_source.h"
#include "ota/delta/chunker.h"
#include "ota/delta/digest_io.h"

namespace wayside::ota {

/// First half of the SHA-256 of a chunk. It finds equal chunks and refuses damaged ones early; what is trusted in the
/// end is the SHA-256 of the whole file, so 128 bits suffice, and an index of a 50 MiB file is 30 KiB smaller.
struct ChunkId {
  static constexpr std::size_t kBytes = 16;
  std::array<std::byte, kBytes> bytes{};
  auto operator<=>(const ChunkId&) const = default;
};

[[nodiscard]] base::Result<ChunkId> chunk_id(BytesView raw);

struct Chunk {
  ChunkId id{};
  std::uint64_t offset = 0;      ///< in the file
  std::uint32_t raw_bytes = 0;   ///< 1 to kMaxChunkBytes
  std::uint32_t wire_bytes = 0;  ///< deflated; equal to raw_bytes: travels as it is
};

/// Bounds of the document: a file of 2 GiB, and as many chunks as it has when all are of half the normal size.
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 31U;
inline constexpr std::size_t kMaxChunks = std::size_t{1} << 18U;
inline constexpr std::size_t kMaxIndexBytes = 128 + kMaxChunks * (ChunkId::kBytes + 6);

struct ChunkIndex {
  Digest file_hash{};
  std::uint64_t file_bytes = 0;
  std::vector<Chunk> chunks{};

  /// Sum of wire_bytes: what fetching everything costs.
  [[nodiscard]] std::uint64_t wire_bytes() const;
  /// The document (docs/formats/transfer.md, "Chunk index").
  [[nodiscard]] Bytes serialize() const;
  /// From untrusted bytes: sizes add up to the file's, nothing is left over. Memory: 40 bytes a chunk, allocated as the
  /// chunks are read. Errors: corrupt.
  static base::Result<ChunkIndex> parse(BytesView document);
};

/// Walks over a file chunk by chunk. Memory: 576 KiB at most. The source must outlive it.
class FileCutter {
 public:
  struct Cut {
    std::uint64_t offset = 0;
    BytesView raw{};  ///< valid until the next call; empty: the file is at its end
  };
  explicit FileCutter(const ByteSource& file) : file_(&file) {}
  base::Result<Cut> next();

 private:
  const ByteSource* file_;
  Bytes buffer_;
  std::size_t start_ = 0;   ///< of the next chunk, in the buffer
  std::uint64_t read_ = 0;  ///< bytes of the file that are or were in the buffer
};

/// Cuts, hashes and deflates a whole file (host side). `wire`, where given, receives the chunks as they travel, one
/// after the other. Errors: invalid_argument beyond the bounds, those of the source and the sink.
base::Result<ChunkIndex> index_file(const ByteSource& file, ByteSink* wire = nullptr);

}  // namespace wayside::ota
