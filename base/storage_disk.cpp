// SPDX-License-Identifier: Apache-2.0
// DiskStorage over POSIX files, and the durable replacement.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/storage.h"
#include "base/unique_fd.h"

namespace wayside::base {
namespace {

constexpr mode_t kFileMode = 0640;

Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(path.string());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

/// Through no symbolic link below `root`, whoever puts one there meanwhile (openat2(2)). A kernel before Linux 5.6 does
/// so for the last name only.
UniqueFd open_beneath(const std::filesystem::path& root, const std::filesystem::path& path, int flags) {
  const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return {};
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = (flags & O_CREAT) != 0 ? kFileMode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const long fd = ::syscall(SYS_openat2, folder.get(), path.c_str(), &how, sizeof(how));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return UniqueFd(static_cast<int>(fd));
  return UniqueFd(::openat(folder.get(), path.c_str(), flags, kFileMode));
}

Result<void> sync_path(const std::filesystem::path& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.valid()) return fail_errno(path.string());
  if (::fsync(fd.get()) != 0) return fail_errno(path.string() + ": fsync");
  return {};
}

}  // namespace

Result<DiskStorage> DiskStorage::open(std::filesystem::path root) {
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) return fail_errno(root.string() + ": cannot make directory", error.value());
  return DiskStorage(std::move(root));
}

Result<std::filesystem::path> DiskStorage::resolve(const std::filesystem::path& path) const {
  const bool escapes = std::ranges::any_of(path, [](const auto& part) { return part == ".."; });
  if (path.is_absolute() || escapes)
    return fail(Code::invalid_argument, path.string() + ": leaves the storage directory");
  return path.empty() ? root_ : root_ / path;
}

Result<UniqueFd> DiskStorage::open_file(const std::filesystem::path& path, int flags) const {
  WAYSIDE_TRY(const auto full, resolve(path));
  UniqueFd fd = open_beneath(root_, path, flags | O_CLOEXEC | O_NOFOLLOW);
  if (!fd.valid()) return fail_errno(full.string());
  return fd;
}

Result<std::vector<std::byte>> DiskStorage::read(const std::filesystem::path& path, std::size_t max_bytes) {
  WAYSIDE_TRY(const auto size, file_bytes(path));
  if (size > max_bytes) {
    return fail(Code::exhausted, path.string() + ": larger than " + std::to_string(max_bytes) + " bytes");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  WAYSIDE_CHECK(read_at(path, 0, bytes));
  return bytes;
}

Result<void> DiskStorage::read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) {
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(path.string());
    if (got == 0) return fail(Code::end_of_stream, path.string() + ": shorter than expected");
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Result<void> DiskStorage::write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
  return write_all(fd.get(), bytes, path);
}

Result<void> DiskStorage::append(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_WRONLY | O_CREAT | O_APPEND));
  return write_all(fd.get(), bytes, path);
}

Result<void> DiskStorage::write_at(const std::filesystem::path& path, std::uint64_t offset,
                                   std::span<const std::byte> bytes) {
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_WRONLY | O_CREAT));
  if (::lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0) return fail_errno(path.string());
  return write_all(fd.get(), bytes, path);
}

Result<void> DiskStorage::truncate(const std::filesystem::path& path, std::uint64_t size) {
  WAYSIDE_TRY(const auto now, file_bytes(path));
  if (size > now) return fail(Code::invalid_argument, path.string() + ": is shorter than the size to cut it to");
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_WRONLY));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail_errno(path.string());
  return {};
}

Result<std::uint64_t> DiskStorage::file_bytes(const std::filesystem::path& path) {
  WAYSIDE_TRY(const UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(path.string());
  if (!S_ISREG(info.st_mode)) return fail(Code::invalid_argument, path.string() + ": not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::uint64_t> DiskStorage::free_bytes() {
  struct statvfs info{};
  if (::statvfs(root_.c_str(), &info) != 0) return fail_errno(root_.string());
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<void> DiskStorage::sync_file(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto full, resolve(path));
  return sync_path(full, O_RDONLY);
}

Result<void> DiskStorage::sync_directory(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto full, resolve(path));
  return sync_path(full, O_RDONLY | O_DIRECTORY);
}

Result<void> DiskStorage::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  WAYSIDE_TRY(const auto full_from, resolve(from));
  WAYSIDE_TRY(const auto full_to, resolve(to));
  if (std::rename(full_from.c_str(), full_to.c_str()) != 0) return fail_errno("rename to " + full_to.string());
  return {};
}

Result<void> DiskStorage::remove(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto full, resolve(path));
  if (::unlink(full.c_str()) != 0 && errno != ENOENT) return fail_errno(full.string());
  return {};
}

Result<void> DiskStorage::make_directory(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto full, resolve(path));
  std::error_code error;
  std::filesystem::create_directories(full, error);
  if (error) return fail_errno(full.string(), error.value());
  return {};
}

Result<std::vector<std::string>> DiskStorage::list(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto full, resolve(path));
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(full, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return fail_errno(full.string(), error.value());
  std::ranges::sort(names);
  return names;
}

Result<void> replace_file(Storage& storage, const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::path fresh = path;
  fresh += ".new";
  WAYSIDE_CHECK(storage.write(fresh, bytes));
  WAYSIDE_CHECK(storage.sync_file(fresh));
  WAYSIDE_CHECK(storage.rename(fresh, path));
  return storage.sync_directory(path.parent_path());
}

}  // namespace wayside::base
