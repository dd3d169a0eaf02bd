// SPDX-License-Identifier: Apache-2.0
// BlobStore: files named by the SHA-256 of their contents; a blob is visible whole and checked, or not at all.
//
// Layout below the Storage root (tests and tools may rely on it):
//   blobs/<64 hex>     complete, verified, never changed; map them read-only with MappedFile
//   staging/<64 hex>   being written; the name is the digest it must get. Kept over restarts so that a transfer
//   resumes.
// Order of publication: data -> fsync -> rename staging to blobs -> fsync blobs/. There are no counters: who is alive
// is computed from the manifests of pinned versions each time (references.h), so a power cut cannot unbalance anything.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/storage.h"
#include "ota/store/digest.h"
#include "ota/store/staging_writer.h"

namespace wayside::ota {

/// Largest blob; a manifest that names a larger file is refused.
inline constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{16} << 30U;
/// Most blobs in a store; bounds every listing.
inline constexpr std::size_t kMaxBlobs = 65536;
/// Left free on the medium after an update, so that logs, journal and database still work.
inline constexpr std::uint64_t kReserveBytes = std::uint64_t{8} << 20U;

/// What collect() did.
struct Collected {
  std::size_t blobs = 0;
  std::size_t staged = 0;
  std::uint64_t freed_bytes = 0;
};

/// Not thread-safe: one owner. The Storage must outlive it. All errors: io with errno from the medium, besides those
/// named.
class BlobStore {
 public:
  /// Makes the folders and makes durable what an earlier process published but did not live to sync.
  static base::Result<BlobStore> open(base::Storage& storage);

  [[nodiscard]] bool has(const Digest& digest) const;
  /// not_found when absent.
  [[nodiscard]] base::Result<std::uint64_t> size_bytes(const Digest& digest) const;
  /// Whole contents; exhausted when larger than `max_bytes`. Not re-hashed: see verify().
  [[nodiscard]] base::Result<std::vector<std::byte>> read(const Digest& digest, std::size_t max_bytes) const;
  /// Fills `out` from `offset`; end_of_stream beyond the end.
  [[nodiscard]] base::Result<void> read_at(const Digest& digest, std::uint64_t offset, std::span<std::byte> out) const;
  /// Reads the blob back and hashes it; corrupt when the medium changed it (then discard() and fetch again).
  [[nodiscard]] base::Result<void> verify(const Digest& digest) const;
  /// Sorted.
  [[nodiscard]] base::Result<std::vector<Digest>> list() const;

  /// Path of a blob and of its staging file, relative to the Storage root.
  [[nodiscard]] static std::filesystem::path blob_path(const Digest& digest);
  [[nodiscard]] static std::filesystem::path staging_path(const Digest& digest);

  /// Starts (or, with `keep_bytes` > 0, continues) the staging file of `blob`: it is cut to `keep_bytes`, which are
  /// hashed again. Pass only a length that was synced (StagingWriter::sync) or is checked otherwise: after a power cut
  /// the tail of a file may hold anything. Errors: exhausted when the blob is over kMaxBlobBytes.
  base::Result<StagingWriter> stage(const Blob& blob, std::uint64_t keep_bytes = 0);
  /// Publishes a staging file that somebody wrote in any order at staging_path(): reads it back, compares size and
  /// hash, then fsync, rename, fsync. corrupt (and the file is removed) when it is not the blob.
  base::Result<void> adopt(const Blob& blob);
  /// A small blob in one call; present already: nothing is written.
  base::Result<Digest> put(std::span<const std::byte> bytes);
  /// Removes a blob that verify() found corrupt.
  base::Result<void> discard(const Digest& digest);

  /// exhausted unless `new_bytes` fit and kReserveBytes stay free. Ask before the first byte of an update.
  [[nodiscard]] base::Result<void> check_room(std::uint64_t new_bytes) const;
  /// Removes every blob not in `live` and every staging file not in `wanted`. Record durably that a version is no
  /// longer pinned before calling; a cut in the middle leaves blobs for the next call, never removes a live one.
  base::Result<Collected> collect(const std::set<Digest>& live, const std::set<Digest>& wanted = {});

 private:
  explicit BlobStore(base::Storage& storage) : storage_(&storage) {}
  base::Result<void> remove_unless(const std::filesystem::path& folder, const std::set<Digest>& kept,
                                   std::size_t& removed, std::uint64_t& freed_bytes);
  base::Storage* storage_;
};

}  // namespace wayside::ota
