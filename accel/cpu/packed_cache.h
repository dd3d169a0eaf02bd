// SPDX-License-Identifier: Apache-2.0
// PackedCache: a directory with the packed weights of models that were loaded before; any file may be removed at any
// time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "accel/cpu/packed_model.h"
#include "base/mapped_file.h"
#include "base/storage.h"

namespace wayside::accel::cpu {

/// Wrong weights are never used: before a file serves for the first time since the machine was started, it and the
/// model are read once and compared with the digests in its header. That both were found whole is noted in
/// "<name>.checked" with the kernel's boot id and what fstat says of both files (size, inode, times of change to the
/// nanosecond); as long as all of that is the same, they are only mapped. A file of another build or level, of a
/// changed model, or a damaged one is packed anew, and replaced.
class PackedCache {
 public:
  /// Files of all models together; the least useful thing on a device's disk, so it also stays below a quarter of what
  /// is free.
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;

  /// The directory is made if absent. Errors: those of the file system.
  static base::Result<PackedCache> open(std::filesystem::path directory, std::uint64_t max_bytes = kMaxBytes);

  /// `model` is the mapping of `path`. Null where nothing (usable) is kept.
  [[nodiscard]] std::unique_ptr<PackedModel> find(const std::filesystem::path& path, const base::MappedFile& model,
                                                  Level level);
  /// Replaces what is kept of `path`. Errors: exhausted where there is no room; those of the file system. What was
  /// there may be lost then, nothing else.
  base::Result<void> keep(const std::filesystem::path& path, const base::MappedFile& model, Level level,
                          std::span<const PackedNode> nodes);

 private:
  PackedCache(std::filesystem::path directory, base::DiskStorage storage, std::uint64_t max_bytes)
      : directory_(std::move(directory)), storage_(std::move(storage)), max_bytes_(max_bytes) {}
  [[nodiscard]] bool was_checked(const std::string& name, const std::string& note);
  void note_checked(const std::string& name, const base::MappedFile& model, const std::string& note);
  base::Result<void> make_room(const std::string& name, std::uint64_t bytes);

  std::filesystem::path directory_;
  base::DiskStorage storage_;
  std::uint64_t max_bytes_;
};

}  // namespace wayside::accel::cpu
