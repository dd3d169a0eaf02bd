// SPDX-License-Identifier: Apache-2.0
// StagingWriter: writes one blob front to back, hashing what it writes, and publishes it when size and hash are right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"
#include "base/storage.h"
#include "ota/store/digest.h"

namespace wayside::ota {

/// What a manifest says about a file: its contents and its exact size. There are no names.
struct Blob {
  Digest digest;
  std::uint64_t size_bytes = 0;
  auto operator<=>(const Blob&) const = default;
};

/// Made by BlobStore::stage(). Destroying it leaves the staging file for a later stage() with keep_bytes.
class StagingWriter {
 public:
  /// Bytes in the file so far, those kept from before included.
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }
  [[nodiscard]] const Blob& blob() const { return blob_; }
  /// Errors: corrupt when more bytes come than the blob has (nothing of `bytes` is written then); io.
  base::Result<void> append(std::span<const std::byte> bytes);
  /// Makes written_bytes() durable, so that they may be kept after a power cut.
  base::Result<void> sync();
  /// Publishes: afterwards BlobStore::has(). Errors: corrupt when size or hash differ (the staging file is removed); io
  /// (may be tried again with stage()). After commit() only destruction is legal.
  base::Result<void> commit();

 private:
  friend class BlobStore;
  StagingWriter(base::Storage& storage, Blob blob) : storage_(&storage), blob_(blob) {}
  base::Storage* storage_;
  Blob blob_;
  Sha256 hash_;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace wayside::ota
