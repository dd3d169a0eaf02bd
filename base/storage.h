// SPDX-License-Identifier: Apache-2.0
// The storage seam: everything the agent must not lose goes through it, so that tests can cut the power at each
// operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::base {

/// A directory tree with the few operations that durable state needs. Paths are relative to its root; ".." is refused.
class Storage {
 public:
  virtual ~Storage() = default;
  /// Whole contents; not_found when absent; exhausted when larger than `max_bytes`.
  virtual Result<std::vector<std::byte>> read(const std::filesystem::path& path, std::size_t max_bytes) = 0;
  /// Creates or replaces a file. Not durable and not atomic by itself: see replace_file().
  virtual Result<void> write(const std::filesystem::path& path, std::span<const std::byte> bytes) = 0;
  virtual Result<void> append(const std::filesystem::path& path, std::span<const std::byte> bytes) = 0;
  /// Fills `out` from `offset`; end_of_stream when the file is shorter, not_found when absent.
  virtual Result<void> read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) = 0;
  /// Writes into a file, created if absent; a gap before `offset` reads as zeros.
  virtual Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                                std::span<const std::byte> bytes) = 0;
  /// Size of a file; not_found when absent.
  virtual Result<std::uint64_t> file_bytes(const std::filesystem::path& path) = 0;
  /// What an ordinary user may still write below the root.
  virtual Result<std::uint64_t> free_bytes() = 0;
  /// fsync of a file's data and size.
  virtual Result<void> sync_file(const std::filesystem::path& path) = 0;
  /// fsync of a directory: makes renames, creations and removals in it durable.
  virtual Result<void> sync_directory(const std::filesystem::path& path) = 0;
  virtual Result<void> rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// Removing what is not there is not an error.
  virtual Result<void> remove(const std::filesystem::path& path) = 0;
  virtual Result<void> make_directory(const std::filesystem::path& path) = 0;
  /// Names in a directory, sorted; not_found when absent.
  virtual Result<std::vector<std::string>> list(const std::filesystem::path& path) = 0;
};

/// The real file system below `root` (created if absent).
class DiskStorage final : public Storage {
 public:
  static Result<DiskStorage> open(std::filesystem::path root);
  Result<std::vector<std::byte>> read(const std::filesystem::path& path, std::size_t max_bytes) override;
  Result<void> write(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> append(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                        std::span<const std::byte> bytes) override;
  Result<std::uint64_t> file_bytes(const std::filesystem::path& path) override;
  Result<std::uint64_t> free_bytes() override;
  Result<void> sync_file(const std::filesystem::path& path) override;
  Result<void> sync_directory(const std::filesystem::path& path) override;
  Result<void> rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<void> make_directory(const std::filesystem::path& path) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& path) override;

 private:
  explicit DiskStorage(std::filesystem::path root) : root_(std::move(root)) {}
  Result<std::filesystem::path> resolve(const std::filesystem::path& path) const;
  Result<void> write_with(const std::filesystem::path& path, std::span<const std::byte> bytes, int flags);
  std::filesystem::path root_;
};

/// The faulty twin, in memory: holds what the program sees and what the disk really has; power_cut() throws away or
/// tears what was not synced, as seeded. Also fails the N-th operation on request. For tests; single-threaded.
class FaultyStorage final : public Storage {
 public:
  explicit FaultyStorage(std::uint64_t seed) : random_state_(seed | 1U) {}

  /// The operation with this number (0-based over the object's life) and all later ones fail with io, as if power were
  /// gone.
  void cut_at(std::uint64_t operation) { cut_at_ = operation; }
  /// The operation with this number fails with ENOSPC, half done; later ones work.
  void fail_once_at(std::uint64_t operation) { fail_once_at_ = operation; }
  [[nodiscard]] std::uint64_t operation_count() const { return operations_; }
  /// Bytes in all files together may not exceed this; beyond it writes fail with ENOSPC.
  void set_capacity(std::uint64_t bytes) { capacity_bytes_ = bytes; }
  /// Restart after a power cut: unsynced data is kept, dropped or torn per file, unsynced directory changes are kept or
  /// dropped as a random prefix of their order.
  void power_cut();

  Result<std::vector<std::byte>> read(const std::filesystem::path& path, std::size_t max_bytes) override;
  Result<void> write(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> append(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                        std::span<const std::byte> bytes) override;
  Result<std::uint64_t> file_bytes(const std::filesystem::path& path) override;
  Result<std::uint64_t> free_bytes() override;
  Result<void> sync_file(const std::filesystem::path& path) override;
  Result<void> sync_directory(const std::filesystem::path& path) override;
  Result<void> rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<void> make_directory(const std::filesystem::path& path) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& path) override;

 private:
  using Inode = std::uint64_t;
  struct File {
    std::vector<std::byte> seen;     ///< what the program reads back
    std::vector<std::byte> durable;  ///< what the medium has for sure
  };
  /// A change of a directory that is not yet durable: `name` now points to `inode`, or to nothing.
  struct NameChange {
    std::string name;
    std::optional<Inode> inode;
  };
  std::uint64_t next_random();
  Result<void> begin();
  Result<void> put(const std::filesystem::path& path, std::span<const std::byte> bytes,
                   std::optional<std::uint64_t> offset, bool from_start);
  [[nodiscard]] std::uint64_t used_bytes() const;
  void point(const std::filesystem::path& path, std::optional<Inode> inode);
  Result<Inode> find(const std::filesystem::path& path) const;

  std::map<Inode, File> files_;
  std::map<std::string, Inode> names_;          ///< as seen
  std::map<std::string, Inode> durable_names_;  ///< as on the medium
  std::vector<NameChange> pending_;             ///< in order
  std::map<std::string, bool> directories_{{"", true}};
  Inode next_inode_ = 1;
  std::uint64_t random_state_;
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> cut_at_, fail_once_at_;
  std::uint64_t capacity_bytes_ = std::uint64_t{1} << 40U;
};

/// Durable atomic replacement: write "<path>.new", fsync it, rename over `path`, fsync the directory. After a power cut
/// at any point the file holds the old or the new bytes, whole.
Result<void> replace_file(Storage& storage, const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace wayside::base
