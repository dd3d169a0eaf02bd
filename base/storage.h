// SPDX-License-Identifier: Apache-2.0
// The storage seam: everything the agent must not lose goes through it, so that tests can cut the power at each
// operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

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
  /// Overwrites or extends a file from `offset`, creating it if absent; a gap before `offset` reads as zeros.
  virtual Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                                std::span<const std::byte> bytes) = 0;
  /// Cuts a file down to `size_bytes`. Not durable by itself. Errors: invalid_argument when the file is shorter.
  virtual Result<void> truncate(const std::filesystem::path& path, std::uint64_t size_bytes) = 0;
  /// Size of a file; not_found when absent.
  virtual Result<std::uint64_t> file_bytes(const std::filesystem::path& path) = 0;
  /// What may still be written before the medium is full (what an unprivileged process gets, statvfs f_bavail).
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

/// The real file system below `root` (created if absent). A symbolic link as the last part of a path is refused.
class DiskStorage final : public Storage {
 public:
  static Result<DiskStorage> open(std::filesystem::path root);
  Result<std::vector<std::byte>> read(const std::filesystem::path& path, std::size_t max_bytes) override;
  Result<void> write(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> append(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                        std::span<const std::byte> bytes) override;
  Result<void> truncate(const std::filesystem::path& path, std::uint64_t size_bytes) override;
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
  Result<UniqueFd> open_file(const std::filesystem::path& path, int flags) const;
  std::filesystem::path root_;
};

/// The faulty twin, in memory: holds what the program sees and what the disk really has; power_cut() throws away, tears
/// or reorders what was not synced, as seeded. Also fails the N-th operation on request. A value: copy it to branch a
/// test. For tests; single-threaded.
class FaultyStorage final : public Storage {
 public:
  explicit FaultyStorage(std::uint64_t seed) : random_state_(seed | 1U) {}

  /// The operation with this number (0-based over the object's life) and all later ones fail with io, as if power were
  /// gone. Reading is no operation.
  void cut_at(std::uint64_t operation) { cut_at_ = operation; }
  /// The operation with this number fails with `sys_errno` (a write half done); later ones work.
  void fail_once_at(std::uint64_t operation, int sys_errno = ENOSPC) {
    fail_once_at_ = operation;
    fail_errno_ = sys_errno;
  }
  [[nodiscard]] std::uint64_t operation_count() const { return operations_; }
  /// Whether the cut was reached since the last power_cut().
  [[nodiscard]] bool is_cut() const { return cut_at_ && operations_ > *cut_at_; }
  /// Bytes that all writes together carried, for measuring wear.
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }
  /// Writes beyond this many bytes in all files fail with ENOSPC.
  void set_capacity(std::uint64_t bytes) { capacity_bytes_ = bytes; }
  /// From here on a power cut keeps any subset of the unsynced directory changes instead of a prefix of their order
  /// (file systems that promise no order between directory entries).
  void reorder_directory_changes() { reorder_ = true; }
  /// Another course of fate from here on (the same operations, another power cut).
  void reseed(std::uint64_t seed) { random_state_ = seed | 1U; }
  /// Restart after a power cut: unsynced data is kept, dropped, torn at one place or mixed sector by sector per file;
  /// unsynced directory changes are kept or dropped; a rename stays atomic.
  void power_cut();

  Result<std::vector<std::byte>> read(const std::filesystem::path& path, std::size_t max_bytes) override;
  Result<void> write(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> append(const std::filesystem::path& path, std::span<const std::byte> bytes) override;
  Result<void> read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write_at(const std::filesystem::path& path, std::uint64_t offset,
                        std::span<const std::byte> bytes) override;
  Result<void> truncate(const std::filesystem::path& path, std::uint64_t size_bytes) override;
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
  /// What the directories hold: files by path, and the directories themselves.
  struct Tree {
    std::map<std::string, Inode> files;
    std::set<std::string> directories{""};
    bool operator==(const Tree&) const = default;
  };
  /// A change of a directory that is not yet durable: the name now points to `inode`, is gone (nothing), or is a new
  /// directory; with `renamed_from`, that name goes in the same instant.
  struct NameChange {
    std::string name;
    std::optional<Inode> inode;
    std::string renamed_from;
    bool directory = false;
  };
  static void apply(const NameChange& change, Tree& tree);
  void change(NameChange change);
  std::uint64_t next_random();
  Result<void> begin();
  Result<void> put(const std::filesystem::path& path, std::optional<std::uint64_t> offset,
                   std::span<const std::byte> bytes, bool from_start);
  [[nodiscard]] std::uint64_t used_bytes() const;
  void settle_names();
  void settle_data(File& file);
  Result<Inode> find(const std::filesystem::path& path) const;

  std::map<Inode, File> files_;
  Tree seen_, durable_;              ///< as the program sees it, as on the medium
  std::vector<NameChange> pending_;  ///< in order
  Inode next_inode_ = 1;
  std::uint64_t random_state_;
  std::uint64_t operations_ = 0, written_bytes_ = 0;
  std::uint64_t capacity_bytes_ = std::uint64_t{1} << 40U;
  std::optional<std::uint64_t> cut_at_, fail_once_at_;
  int fail_errno_ = ENOSPC;
  bool reorder_ = false;
};

/// Durable atomic replacement: write "<path>.new", fsync it, rename over `path`, fsync the directory. After a power cut
/// at any point the file holds the old or the new bytes, whole.
Result<void> replace_file(Storage& storage, const std::filesystem::path& path, std::span<const std::byte> bytes);

}  // namespace wayside::base
