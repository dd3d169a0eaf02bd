// SPDX-License-Identifier: Apache-2.0
// Chunks in a file that is not complete yet.
#include "ota/transfer/staging_file.h"

#include <algorithm>
#include <numeric>

namespace wayside::ota {

StagingFile::StagingFile(base::Storage& storage, std::filesystem::path path, ChunkIndex index)
    : storage_(&storage), path_(std::move(path)), index_(std::move(index)), there_(index_.chunks.size()) {
  by_id_.resize(index_.chunks.size());
  std::iota(by_id_.begin(), by_id_.end(), 0U);
  std::ranges::sort(by_id_, [this](std::uint32_t a, std::uint32_t b) {
    return std::pair(index_.chunks[a].id, a) < std::pair(index_.chunks[b].id, b);
  });
  exists_ = storage_->file_bytes(path_).has_value();
}

std::span<const std::uint32_t> StagingFile::equal_to(const ChunkId& id) const {
  const auto range = std::ranges::equal_range(by_id_, id, {}, [this](std::uint32_t n) { return index_.chunks[n].id; });
  return {range.begin(), range.end()};
}

base::Result<bool> StagingFile::verify_next() {
  if (!exists_ || verified_ == index_.chunks.size()) return false;
  const std::uint32_t number = verified_++;
  const Chunk& chunk = index_.chunks[number];
  Bytes raw(chunk.raw_bytes);
  const auto read = storage_->read_at(path_, chunk.offset, raw);
  if (!read && read.error().code == base::Code::end_of_stream) return true;
  if (!read) return std::unexpected(read.error());
  WAYSIDE_TRY(const ChunkId id, chunk_id(raw));
  if (id == chunk.id && !there_[number]) {
    there_[number] = true;
    ++done_;
  }
  return true;
}

base::Result<std::uint32_t> StagingFile::put(const ChunkId& id, BytesView raw, bool durable) {
  std::vector<std::uint32_t> places;
  for (const std::uint32_t number : equal_to(id)) {
    if (!there_[number] && index_.chunks[number].raw_bytes == raw.size()) places.push_back(number);
  }
  for (const std::uint32_t number : places) {
    WAYSIDE_CHECK(storage_->write_at(path_, index_.chunks[number].offset, raw));
  }
  if (!places.empty() && durable) WAYSIDE_CHECK(sync());
  for (const std::uint32_t number : places) there_[number] = true;
  done_ += static_cast<std::uint32_t>(places.size());
  return static_cast<std::uint32_t>(places.size());
}

base::Result<void> StagingFile::sync() {
  if (!storage_->file_bytes(path_)) return {};  // nothing written yet
  WAYSIDE_CHECK(storage_->sync_file(path_));
  if (exists_) return {};
  exists_ = true;
  return storage_->sync_directory(path_.parent_path());  // the name is new
}

std::uint64_t StagingFile::wire_bytes_done() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < by_id_.size(); ++i) {
    const bool repeated = i > 0 && index_.chunks[by_id_[i - 1]].id == index_.chunks[by_id_[i]].id;
    if (!repeated && there_[by_id_[i]]) sum += index_.chunks[by_id_[i]].wire_bytes;
  }
  return sum;
}

std::uint32_t StagingFile::next_missing(std::uint32_t from) const {
  const auto count = static_cast<std::uint32_t>(there_.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t number = (from + i) % count;
    if (there_[number]) continue;
    const auto equals = equal_to(index_.chunks[number].id);
    if (*std::ranges::find_if(equals, [this](std::uint32_t n) { return !there_[n]; }) == number) return number;
  }
  return count;
}

}  // namespace wayside::ota
