// SPDX-License-Identifier: Apache-2.0
// Resource limits and the filter of system calls; the only file that includes seccomp.h.
#include "agent/sandbox/jail.h"

#include <grp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <format>
#include <memory>

namespace wayside::agent {
namespace {

using base::fail;
using base::fail_errno;
using base::Result;

constexpr uid_t kNobody = 65534;

/// Enough for reading fd 0, computing, writing fd 1, and ending. Signals: abort() masks some before it dies.
constexpr std::array kAllowed{SCMP_SYS(read),          SCMP_SYS(write),        SCMP_SYS(close),
                              SCMP_SYS(brk),           SCMP_SYS(munmap),       SCMP_SYS(mremap),
                              SCMP_SYS(madvise),       SCMP_SYS(futex),        SCMP_SYS(exit),
                              SCMP_SYS(exit_group),    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
                              SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),    SCMP_SYS(sched_yield)};

Result<void> drop_root() {
  if (::geteuid() != 0) return {};
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0)
    return fail_errno("cannot become nobody");
  return {};
}

Result<void> limit(__rlimit_resource what, std::uint64_t value) {
  const rlimit bound{value, value};
  if (::setrlimit(what, &bound) != 0) return fail_errno("setrlimit");
  return {};
}

Result<void> load_filter() {
  struct Release {
    void operator()(void* context) const { seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context(seccomp_init(SCMP_ACT_KILL_PROCESS));
  // Before Linux 4.14 only the thread can be killed; here it is the only one.
  if (!context) context.reset(seccomp_init(SCMP_ACT_KILL_THREAD));
  if (!context) return fail(base::Code::io, "seccomp: no memory, or a kernel without it");
  int code = 0;
  for (const int call : kAllowed) {
    if (code == 0) code = seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 0);
  }
  // Memory, but none that can be run: argument 2 is the protection.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    if (code == 0)
      code = seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  if (code == 0) code = seccomp_load(context.get());
  if (code != 0) return fail_errno("seccomp", -code);
  return {};
}

}  // namespace

Result<void> enter_jail(const JailLimits& limits) {
  // Not close_range(), which Linux 4.9 lacks; before root is dropped, because /proc/self is another user's afterwards.
  ::closefrom(STDERR_FILENO + 1);
  WAYSIDE_CHECK(drop_root());
  WAYSIDE_CHECK(limit(RLIMIT_AS, limits.memory_bytes));
  WAYSIDE_CHECK(limit(RLIMIT_CPU, limits.cpu_s));
  WAYSIDE_CHECK(limit(RLIMIT_CORE, 0));
  WAYSIDE_CHECK(limit(RLIMIT_FSIZE, 0));  // pipes are no files: standard output still works
  WAYSIDE_CHECK(limit(RLIMIT_NPROC, 0));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return fail_errno("prctl");
  return load_filter();
}

}  // namespace wayside::agent
