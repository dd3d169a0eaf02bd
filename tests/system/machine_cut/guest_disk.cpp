// SPDX-License-Identifier: Apache-2.0
// The server's half of the NBD protocol (Linux Documentation/admin-guide/blockdev/nbd.rst, linux/nbd.h) over a socket
// pair.
#include "tests/system/machine_cut/guest_disk.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <format>

#include "base/unique_fd.h"

namespace wayside::test {
namespace {

constexpr std::uint32_t kSectorBytes = 512;
constexpr std::size_t kMaxRequestBytes = std::size_t{8} << 20U;
constexpr int kReadyTries = 5000;  ///< of a millisecond

bool whole(ssize_t done, std::size_t bytes) { return done == static_cast<ssize_t>(bytes); }

bool receive(int socket, void* data, std::size_t bytes) {
  return whole(::recv(socket, data, bytes, MSG_WAITALL), bytes);
}

/// One request; false when the connection or the disk fails, which ends the machine's disk.
bool serve_one(int socket, int disk, std::uint64_t disk_bytes, char* buffer) {
  nbd_request request{};
  if (!receive(socket, &request, sizeof request) || ntohl(request.magic) != NBD_REQUEST_MAGIC) return false;
  const auto command = ntohl(request.type) & 0xffffU;
  const std::size_t bytes = ntohl(request.len);
  const auto from = static_cast<off_t>(be64toh(request.from));
  if (bytes > kMaxRequestBytes) return false;
  nbd_reply reply{};
  reply.magic = htonl(NBD_REPLY_MAGIC);
  std::memcpy(&reply.handle, &request.handle, sizeof reply.handle);
  bool done = false;
  if (command == NBD_CMD_READ) done = whole(::pread(disk, buffer, bytes, from), bytes);
  if (command == NBD_CMD_WRITE)
    done = receive(socket, buffer, bytes) && whole(::pwrite(disk, buffer, bytes, from), bytes);
  if (command == NBD_CMD_FLUSH)
    done = whole(::pwrite(disk, buffer, kSectorBytes, static_cast<off_t>(disk_bytes)), kSectorBytes);
  if (!done) return false;
  if (!whole(::send(socket, &reply, sizeof reply, MSG_NOSIGNAL), sizeof reply)) return false;
  return command != NBD_CMD_READ || whole(::send(socket, buffer, bytes, MSG_NOSIGNAL), bytes);
}

[[noreturn]] void serve(int socket, int disk, std::uint64_t disk_bytes) {
  // What writes dirty memory out must not wait for memory.
  ::mlockall(MCL_CURRENT | MCL_FUTURE);
  auto* buffer = static_cast<char*>(std::aligned_alloc(4096, kMaxRequestBytes));
  while (buffer != nullptr && serve_one(socket, disk, disk_bytes, buffer)) {
  }
  constexpr char kDead[] = "MC dead the disk's server ended\n";
  (void)!::write(STDOUT_FILENO, kDead, sizeof kDead - 1);
  ::_exit(1);
}

[[noreturn]] void connect_kernel(int device, int socket, std::uint64_t disk_bytes) {
  if (::ioctl(device, NBD_SET_BLKSIZE, static_cast<unsigned long>(kSectorBytes)) == 0 &&
      ::ioctl(device, NBD_SET_SIZE_BLOCKS, static_cast<unsigned long>(disk_bytes / kSectorBytes)) == 0 &&
      ::ioctl(device, NBD_SET_FLAGS, static_cast<unsigned long>(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)) == 0 &&
      ::ioctl(device, NBD_SET_SOCK, static_cast<unsigned long>(socket)) == 0)
    ::ioctl(device, NBD_DO_IT);  // until the disk is gone
  ::_exit(1);
}

}  // namespace

std::string start_disk(const std::string& modules) {
  utsname kernel{};
  ::uname(&kernel);
  const auto module = std::format("{}/{}/kernel/drivers/block/nbd.ko", modules, kernel.release);
  const base::UniqueFd file(::open(module.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::syscall(SYS_finit_module, file.get(), "nbds_max=1 max_part=0", 0) != 0)
    return std::format("{}: errno {}", module, errno);
  const base::UniqueFd disk(::open("/dev/ubda", O_RDWR | O_DIRECT | O_CLOEXEC));
  std::uint64_t disk_bytes = 0;
  if (disk.get() < 0 || ::ioctl(disk.get(), BLKGETSIZE64, &disk_bytes) != 0) return "no /dev/ubda";
  disk_bytes -= kSectorBytes;
  const base::UniqueFd device(::open("/dev/nbd0", O_RDWR | O_CLOEXEC));
  if (device.get() < 0) return "no /dev/nbd0";
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return "no socket pair";
  const base::UniqueFd kernels(sockets[0]), ours(sockets[1]);
  if (::fork() == 0) serve(ours.get(), disk.get(), disk_bytes);
  if (::fork() == 0) connect_kernel(device.get(), kernels.get(), disk_bytes);
  for (int i = 0; i < kReadyTries; ++i) {
    const base::UniqueFd tried(::open("/dev/nbd0", O_RDONLY | O_CLOEXEC));
    std::array<char, kSectorBytes> sector{};
    if (whole(::pread(tried.get(), sector.data(), sector.size(), 0), sector.size())) return {};
    ::usleep(1000);
  }
  return "/dev/nbd0 cannot be read";
}

}  // namespace wayside::test
