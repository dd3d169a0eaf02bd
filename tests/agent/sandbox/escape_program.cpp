// SPDX-License-Identifier: Apache-2.0
// Enters the jail and then does what an attacker who took over a parser would try; prints "escaped" if it lives.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "agent/sandbox/jail.h"

namespace {

struct Attempt {
  const char* name;
  void (*run)();
};

char page[64];
char* const kNone[] = {nullptr};

constexpr Attempt kAttempts[] = {
    {"open", [] { (void)::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }},
    {"create", [] { (void)::syscall(SYS_openat, AT_FDCWD, "/tmp/wayside-escape", O_WRONLY | O_CREAT, 0600); }},
    {"stat", [] { (void)::syscall(SYS_newfstatat, AT_FDCWD, "/", page, 0); }},
    {"unlink", [] { (void)::syscall(SYS_unlinkat, AT_FDCWD, "/tmp/wayside-escape", 0); }},
    {"rename", [] { (void)::syscall(SYS_renameat2, AT_FDCWD, "/tmp/a", AT_FDCWD, "/tmp/b", 0); }},
    {"socket", [] { (void)::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
    {"unix-socket", [] { (void)::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
    {"execve", [] { (void)::syscall(SYS_execve, "/bin/true", kNone, kNone); }},
    {"fork", [] { (void)::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
    {"kill-parent", [] { (void)::syscall(SYS_kill, ::getppid(), SIGTERM); }},
    {"ptrace", [] { (void)::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }},
    {"process-vm-read", [] { (void)::syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }},
    {"map-executable",
     [] { (void)::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
    {"make-executable",
     [] {
       (void)::mprotect(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(page) & ~4095UL), 4096,
                        PROT_READ | PROT_EXEC);
     }},
    {"setuid", [] { (void)::syscall(SYS_setuid, 0); }},
    {"bpf", [] { (void)::syscall(SYS_bpf, BPF_PROG_LOAD, nullptr, 0); }},
    {"io-uring", [] { (void)::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"memfd", [] { (void)::syscall(SYS_memfd_create, "x", 0); }},
    {"unshare", [] { (void)::syscall(SYS_unshare, 0x10000000); }},
    {"chroot", [] { (void)::syscall(SYS_chroot, "/"); }},
    {"seccomp-off", [] { (void)::syscall(SYS_seccomp, 0, 0, nullptr); }},
    {"memory-bomb",
     [] {
       std::vector<void*> kept;
       while (true) {
         void* more = std::malloc(1U << 20U);
         if (more == nullptr) std::abort();
         std::memset(more, 1, 1U << 20U);
         kept.push_back(more);
       }
     }},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::string_view(argv[1]) == "list") {
    for (const auto& attempt : kAttempts)
      (void)!::write(STDOUT_FILENO, (std::string_view(attempt.name)).data(), std::strlen(attempt.name)),
          (void)!::write(STDOUT_FILENO, "\n", 1);
    return 0;
  }
  if (!wayside::agent::enter_jail()) return 3;
  for (const auto& attempt : kAttempts) {
    if (std::string_view(argv[1]) != attempt.name) continue;
    attempt.run();
    (void)!::write(STDOUT_FILENO, "escaped", 7);
    return 0;
  }
  return 4;
}
