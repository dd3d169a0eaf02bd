// SPDX-License-Identifier: Apache-2.0
// Runs a program as on the Jetson Nano's kernel 4.9: system calls that came later are answered with ENOSYS.
// usage: old_kernel PROGRAM ARGUMENTS...
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace {

// Those of Linux 4.10 to 6.12 that user space meets; man 2 syscalls names the version of each. By name, because the C
// library and libseccomp may know fewer of them than the running kernel.
constexpr const char* kLaterCalls[] = {"statx",
                                       "pkey_mprotect",
                                       "io_pgetevents",
                                       "rseq",
                                       "pidfd_send_signal",
                                       "io_uring_setup",
                                       "io_uring_enter",
                                       "open_tree",
                                       "move_mount",
                                       "fsopen",
                                       "fsconfig",
                                       "fsmount",
                                       "fspick",
                                       "pidfd_open",
                                       "clone3",
                                       "close_range",
                                       "openat2",
                                       "pidfd_getfd",
                                       "faccessat2",
                                       "process_madvise",
                                       "epoll_pwait2",
                                       "mount_setattr",
                                       "landlock_create_ruleset",
                                       "memfd_secret",
                                       "futex_waitv",
                                       "cachestat",
                                       "fchmodat2",
                                       "futex_wake",
                                       "futex_wait",
                                       "futex_requeue"};

bool install() {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) return false;
  bool good = true;
  for (const char* name : kLaterCalls) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call < 0) continue;  // this library does not know it, or this architecture has none
    good = good && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0;
  }
  // Linux 4.9 cannot be asked for its actions, and does not know how to kill a process (both 4.14).
  good = good && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(seccomp), 1,
                                  SCMP_A0(SCMP_CMP_EQ, SECCOMP_GET_ACTION_AVAIL)) == 0;
  good = good && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return good;
}

bool works() {
  struct statx info;
  errno = 0;
  const bool no_statx = ::syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_TYPE, &info) == -1 && errno == ENOSYS;
  errno = 0;
  return no_statx && ::syscall(SYS_close_range, 1000U, 1001U, 0) == -1 && errno == ENOSYS;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fputs("usage: old_kernel PROGRAM ARGUMENTS...\n", stderr);
    return 2;
  }
  if (!install() || !works()) {
    std::fputs("old_kernel: the filter of system calls could not be installed\n", stderr);
    return 125;
  }
  ::execv(arguments[1], arguments + 1);
  std::perror(arguments[1]);
  return 127;
}
