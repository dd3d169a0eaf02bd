// SPDX-License-Identifier: Apache-2.0
// The store's folders, reading back, and garbage collection.
#include "ota/store/blob_store.h"

#include <algorithm>
#include <format>

namespace wayside::ota {
namespace {

const std::filesystem::path kBlobs = "blobs";
const std::filesystem::path kStaging = "staging";
/// Read-back happens in pieces of this size: small enough for a board's cache, large enough for its flash.
constexpr std::size_t kPieceBytes = 64 * 1024;

/// Calls `take` with each piece of the first `size_bytes` of a file.
template <class Take>
base::Result<void> for_each_piece(base::Storage& storage, const std::filesystem::path& path, std::uint64_t size_bytes,
                                  Take take) {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size_bytes)));
  for (std::uint64_t at = 0; at < size_bytes;) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size_bytes - at));
    WAYSIDE_CHECK(storage.read_at(path, at, std::span(piece).first(count)));
    take(std::span<const std::byte>(piece).first(count));
    at += count;
  }
  return {};
}

base::Result<Digest> hash_of(base::Storage& storage, const std::filesystem::path& path, std::uint64_t size_bytes) {
  Sha256 hash;
  WAYSIDE_CHECK(for_each_piece(storage, path, size_bytes, [&](auto piece) { hash.update(piece); }));
  return hash.finish();
}

}  // namespace

base::Result<BlobStore> BlobStore::open(base::Storage& storage) {
  WAYSIDE_CHECK(storage.make_directory(""));
  WAYSIDE_CHECK(storage.make_directory(kBlobs));
  WAYSIDE_CHECK(storage.make_directory(kStaging));
  WAYSIDE_CHECK(storage.sync_directory(""));
  WAYSIDE_CHECK(storage.sync_directory(kBlobs));
  return BlobStore(storage);
}

std::filesystem::path BlobStore::blob_path(const Digest& digest) { return kBlobs / digest.hex(); }
std::filesystem::path BlobStore::staging_path(const Digest& digest) { return kStaging / digest.hex(); }

bool BlobStore::has(const Digest& digest) const { return storage_->file_bytes(blob_path(digest)).has_value(); }

base::Result<std::uint64_t> BlobStore::size_bytes(const Digest& digest) const {
  return storage_->file_bytes(blob_path(digest));
}

base::Result<std::vector<std::byte>> BlobStore::read(const Digest& digest, std::size_t max_bytes) const {
  return storage_->read(blob_path(digest), max_bytes);
}

base::Result<void> BlobStore::read_at(const Digest& digest, std::uint64_t offset, std::span<std::byte> out) const {
  return storage_->read_at(blob_path(digest), offset, out);
}

base::Result<void> BlobStore::verify(const Digest& digest) const {
  WAYSIDE_TRY(const auto size, size_bytes(digest));
  WAYSIDE_TRY(const Digest found, hash_of(*storage_, blob_path(digest), size));
  if (found == digest) return {};
  return base::fail(base::Code::corrupt, std::format("blob {}: the disk gives other bytes back; fetch it again and "
                                                     "check the medium",
                                                     digest.hex()));
}

base::Result<std::vector<Digest>> BlobStore::list() const {
  WAYSIDE_TRY(const auto names, storage_->list(kBlobs));
  std::vector<Digest> found;
  for (const auto& name : names) {
    if (found.size() == kMaxBlobs) return base::fail(base::Code::exhausted, "store: too many blobs");
    if (const auto digest = Digest::parse(name)) found.push_back(*digest);
  }
  return found;
}

base::Result<StagingWriter> BlobStore::stage(const Blob& blob, std::uint64_t keep_bytes) {
  if (blob.size_bytes > kMaxBlobBytes) {
    return base::fail(base::Code::exhausted, std::format("blob {}: {} bytes, at most {} are allowed", blob.digest.hex(),
                                                         blob.size_bytes, kMaxBlobBytes));
  }
  const auto path = staging_path(blob.digest);
  StagingWriter writer(*storage_, blob);
  const auto present = storage_->file_bytes(path);
  const auto kept = std::min({keep_bytes, present.value_or(0), blob.size_bytes});
  if (kept == 0) {
    WAYSIDE_CHECK(storage_->write(path, {}));
    return writer;
  }
  WAYSIDE_CHECK(storage_->truncate(path, kept));
  WAYSIDE_CHECK(for_each_piece(*storage_, path, kept, [&](auto piece) { writer.hash_.update(piece); }));
  writer.written_bytes_ = kept;
  return writer;
}

base::Result<void> BlobStore::adopt(const Blob& blob) {
  const auto path = staging_path(blob.digest);
  WAYSIDE_TRY(const auto size, storage_->file_bytes(path));
  StagingWriter writer(*storage_, blob);
  if (size <= blob.size_bytes) {
    WAYSIDE_CHECK(for_each_piece(*storage_, path, size, [&](auto piece) { writer.hash_.update(piece); }));
  }
  writer.written_bytes_ = size;
  return writer.commit();
}

base::Result<Digest> BlobStore::put(std::span<const std::byte> bytes) {
  WAYSIDE_TRY(const Digest digest, sha256_of(bytes));
  if (has(digest)) return digest;
  WAYSIDE_TRY(auto writer, stage({.digest = digest, .size_bytes = bytes.size()}));
  WAYSIDE_CHECK(writer.append(bytes));
  WAYSIDE_CHECK(writer.commit());
  return digest;
}

base::Result<void> BlobStore::discard(const Digest& digest) {
  WAYSIDE_CHECK(storage_->remove(blob_path(digest)));
  return storage_->sync_directory(kBlobs);
}

base::Result<void> BlobStore::check_room(std::uint64_t new_bytes) const {
  WAYSIDE_TRY(const auto free, storage_->free_bytes());
  if (free >= kReserveBytes && free - kReserveBytes >= new_bytes) return {};
  return base::fail(base::Code::exhausted,
                    std::format("store: {} bytes are needed and {} stay reserved, but {} are free; remove other files",
                                new_bytes, kReserveBytes, free));
}

base::Result<void> BlobStore::remove_unless(const std::filesystem::path& folder, const std::set<Digest>& kept,
                                            std::size_t& removed, std::uint64_t& freed_bytes) {
  WAYSIDE_TRY(const auto names, storage_->list(folder));
  for (const auto& name : names) {
    const auto digest = Digest::parse(name);
    if (!digest || kept.contains(*digest)) continue;
    freed_bytes += storage_->file_bytes(folder / name).value_or(0);
    WAYSIDE_CHECK(storage_->remove(folder / name));
    ++removed;
  }
  return storage_->sync_directory(folder);
}

base::Result<Collected> BlobStore::collect(const std::set<Digest>& live, const std::set<Digest>& wanted) {
  Collected collected;
  WAYSIDE_CHECK(remove_unless(kBlobs, live, collected.blobs, collected.freed_bytes));
  WAYSIDE_CHECK(remove_unless(kStaging, wanted, collected.staged, collected.freed_bytes));
  return collected;
}

}  // namespace wayside::ota
