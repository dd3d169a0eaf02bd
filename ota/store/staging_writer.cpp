// SPDX-License-Identifier: Apache-2.0
// Appending, and publication by rename.
#include "ota/store/staging_writer.h"

#include <format>

#include "ota/store/blob_store.h"

namespace wayside::ota {

base::Result<void> StagingWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > blob_.size_bytes - written_bytes_) {
    return base::fail(base::Code::corrupt,
                      std::format("blob {}: more than its {} bytes arrived", blob_.digest.hex(), blob_.size_bytes));
  }
  WAYSIDE_CHECK(storage_->append(BlobStore::staging_path(blob_.digest), bytes));
  hash_.update(bytes);
  written_bytes_ += bytes.size();
  return {};
}

base::Result<void> StagingWriter::sync() { return storage_->sync_file(BlobStore::staging_path(blob_.digest)); }

base::Result<void> StagingWriter::commit() {
  const auto staged = BlobStore::staging_path(blob_.digest);
  WAYSIDE_TRY(const Digest digest, hash_.finish());
  if (written_bytes_ != blob_.size_bytes || digest != blob_.digest) {
    WAYSIDE_CHECK(storage_->remove(staged));
    return base::fail(base::Code::corrupt,
                      std::format("blob {}: got {} of {} bytes with hash {}; fetch it again", blob_.digest.hex(),
                                  written_bytes_, blob_.size_bytes, digest.hex()));
  }
  WAYSIDE_CHECK(storage_->sync_file(staged));
  const auto final_path = BlobStore::blob_path(blob_.digest);
  WAYSIDE_CHECK(storage_->rename(staged, final_path));
  return storage_->sync_directory(final_path.parent_path());
}

}  // namespace wayside::ota
