// SPDX-License-Identifier: Apache-2.0
// Preloaded into the process that is an emulated machine: logs what its kernel writes to the disk.
//
// The kernel's block driver uses pwrite64 on the image file, in one thread that has no thread-local storage
// of its own. So there is nothing here but system calls. $WAYSIDE_DISK is the image, $WAYSIDE_DISK_LOG the log, which
// must exist. The image shows what the machine sees (its cache included) and is thrown away after a cut: the log tells
// what is left.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>

#include "tests/system/machine_cut/disk_log.h"

namespace {

using wayside::test::DiskLogEntry;

struct stat disk{};
int log_fd = -1;
constexpr char zeros[std::size_t{64} << 10U] = {};

__attribute__((constructor)) void open_log() {
  const char* image = std::getenv("WAYSIDE_DISK");
  const char* log = std::getenv("WAYSIDE_DISK_LOG");
  if (image == nullptr || log == nullptr || ::stat(image, &disk) != 0) return;
  log_fd = ::open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
}

bool is_disk(int fd) {
  struct stat found{};
  return log_fd >= 0 && ::syscall(SYS_fstat, fd, &found) == 0 && found.st_ino == disk.st_ino &&
         found.st_dev == disk.st_dev;
}

/// In one call, so that an entry is cut only by the end of the process.
bool log_entry(DiskLogEntry entry, const void* data) {
  const iovec parts[] = {{&entry, sizeof entry}, {const_cast<void*>(data), data == nullptr ? 0 : entry.bytes}};
  const auto whole = static_cast<long>(parts[0].iov_len + parts[1].iov_len);
  return ::syscall(SYS_writev, log_fd, parts, 2) == whole;
}

}  // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t offset) {
  if (is_disk(fd) && !log_entry({wayside::test::kDiskWrite, static_cast<std::uint64_t>(offset), bytes}, data)) {
    errno = EIO;
    return -1;
  }
  return ::syscall(SYS_pwrite64, fd, data, bytes, offset);
}

/// Zeros are written as such; the disk has no discard.
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  if (!is_disk(fd)) return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, bytes));
  if ((mode & FALLOC_FL_ZERO_RANGE) == 0) {
    errno = EOPNOTSUPP;
    return -1;
  }
  while (bytes > 0) {
    const auto part = bytes < static_cast<off64_t>(sizeof zeros) ? bytes : static_cast<off64_t>(sizeof zeros);
    if (pwrite64(fd, zeros, static_cast<std::size_t>(part), offset) != part) return -1;
    offset += part;
    bytes -= part;
  }
  return 0;
}
}
