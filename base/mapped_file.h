// SPDX-License-Identifier: Apache-2.0
// MappedFile: a whole file mapped read-only; unmapped on destruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace wayside::base {

/// What the kernel says of a file: if it is the same again, nobody has written to the file in between (times have the
/// resolution of the kernel's clock tick).
struct FileIdentity {
  std::uint64_t device = 0, inode = 0, size_bytes = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;  ///< since 1970; `changed` cannot be set by programs
  bool operator==(const FileIdentity&) const = default;
};

class MappedFile {
 public:
  /// Maps `path` read-only and private. Errors: not_found, io, invalid_argument (not a regular file), corrupt (empty
  /// file).
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// The file's bytes, page-aligned; valid as long as this object lives. A file truncated by somebody else while
  /// mapped raises SIGBUS on access: map only files that are replaced by rename, never written in place.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_bytes_}; }
  /// Of the moment in which the file was opened.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }
  /// Gives the memory of `part` back to the kernel; what is read of it later is fetched from the file again. Nothing
  /// happens to what does not lie in this mapping.
  void release(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::byte* data, std::size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  const std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  FileIdentity identity_;
};

}  // namespace wayside::base
