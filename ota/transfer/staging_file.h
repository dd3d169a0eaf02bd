// SPDX-License-Identifier: Apache-2.0
// StagingFile: a file that is being filled chunk by chunk in any order; which chunks are there is read from the file
// itself.
#pragma once

#include <filesystem>
#include <vector>

#include "base/storage.h"
#include "ota/delta/chunk_index.h"

namespace wayside::ota {

/// A chunk counts as there when its bytes in the file have its hash. So nothing has to be kept in step with the file:
/// after a power cut, torn and lost writes just are not there, and a bit that flipped on the medium is noticed. The
/// storage must outlive it. Errors: those of the storage.
class StagingFile {
 public:
  StagingFile(base::Storage& storage, std::filesystem::path path, ChunkIndex index);

  /// Verifies one more chunk of an older file; false when all were looked at. For the start, after a restart.
  base::Result<bool> verify_next();
  /// Writes a chunk, known by its hash, to all places where it belongs and is missing. Returns how many there were.
  /// `durable`: synced before this returns.
  base::Result<std::uint32_t> put(const ChunkId& id, BytesView raw, bool durable);
  base::Result<void> sync();

  [[nodiscard]] bool has(std::uint32_t number) const { return there_[number]; }
  [[nodiscard]] bool complete() const { return done_ == index_.chunks.size(); }
  [[nodiscard]] std::uint32_t done() const { return done_; }
  [[nodiscard]] const ChunkIndex& index() const { return index_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Bytes on the wire of the distinct chunks that are there.
  [[nodiscard]] std::uint64_t wire_bytes_done() const;
  /// The next missing chunk at or after `from`, wrapping around, or the number of chunks when none is missing. Of equal
  /// chunks only the lowest missing one is found: they are asked for once.
  [[nodiscard]] std::uint32_t next_missing(std::uint32_t from) const;

 private:
  [[nodiscard]] std::span<const std::uint32_t> equal_to(const ChunkId& id) const;
  base::Storage* storage_;
  std::filesystem::path path_;
  ChunkIndex index_;
  std::vector<bool> there_;
  std::vector<std::uint32_t> by_id_;  ///< chunk numbers, sorted by id, then number
  std::uint32_t done_ = 0;
  std::uint32_t verified_ = 0;  ///< chunks looked at by verify_next
  bool exists_ = true;
};

}  // namespace wayside::ota
