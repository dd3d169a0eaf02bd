// SPDX-License-Identifier: Apache-2.0
// ByteSource and ByteSink: where codecs read a file at any place and write one from its start.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>

#include "base/storage.h"
#include "ota/delta/wire.h"

namespace wayside::ota {

/// A file of known size that can be read at any place.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Fills `out` from `offset`. Errors: end_of_stream beyond the end, those of the medium.
  virtual base::Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

/// Borrowed memory.
class SpanSource final : public ByteSource {
 public:
  explicit SpanSource(BytesView bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  base::Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return base::fail(base::Code::end_of_stream, "read beyond the end of the buffer");
    }
    std::ranges::copy(bytes_.subspan(static_cast<std::size_t>(offset), out.size()), out.begin());
    return {};
  }

 private:
  BytesView bytes_;
};

/// A file behind the storage seam; the storage must outlive it, the file must not change.
class StorageSource final : public ByteSource {
 public:
  static base::Result<StorageSource> open(base::Storage& storage, std::filesystem::path path) {
    WAYSIDE_TRY(const std::uint64_t size, storage.file_bytes(path));
    return StorageSource(storage, std::move(path), size);
  }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  base::Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return storage_->read_at(path_, offset, out);
  }

 private:
  StorageSource(base::Storage& storage, std::filesystem::path path, std::uint64_t size)
      : storage_(&storage), path_(std::move(path)), size_(size) {}
  base::Storage* storage_;
  std::filesystem::path path_;
  std::uint64_t size_;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual base::Result<void> write(BytesView bytes) = 0;
};

}  // namespace wayside::ota
