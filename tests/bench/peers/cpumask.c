// SPDX-License-Identifier: Apache-2.0
// LD_PRELOAD: hides AVX512 and AMX (and with CPUMASK=avx2 also AVX-VNNI) from a process, without a virtual machine.
// CPUMASK=avxvnni ~ Alder Lake and later Core i5; CPUMASK=avx2 ~ Haswell to Comet Lake Core i5. Two ways:
// - CPUID faulting (Intel): arch_prctl(ARCH_CPUID) makes the instruction fault; the handler answers.
// - CPUMASK_PATCHED=1 (processors without it): the process and its libraries are copies in which patch_cpuid.py has
//   put kTrap in the place of each CPUID instruction; the handler answers the same. Linked with -z initfirst: libraries
//   ask in their own constructors.
// glibc's own dispatch runs before this: also set GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID 0x1012

static const uint8_t kCpuid[2] = {0x0F, 0xA2};
// PUSH ES twice: invalid in 64-bit mode, and nothing a compiler emits, unlike UD2.
static const uint8_t kTrap[2] = {0x06, 0x06};

static int avx2_only, patched;

static void answer(greg_t* r) {
  const uint32_t leaf = (uint32_t)r[REG_RAX], sub = (uint32_t)r[REG_RCX];
  uint32_t a, b, c, d;
  if (!patched) syscall(SYS_arch_prctl, ARCH_CPUID, 1);
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
  if (!patched) syscall(SYS_arch_prctl, ARCH_CPUID, 0);
  if (leaf == 7 && sub == 0) {
    b &= ~((1u << 16) | (1u << 17) | (1u << 21) | (1u << 26) | (1u << 27) | (1u << 28) | (1u << 30) | (1u << 31));
    c &= ~((1u << 1) | (1u << 6) | (1u << 11) | (1u << 12) | (1u << 14));
    d &= ~((1u << 2) | (1u << 3) | (1u << 8) | (1u << 22) | (1u << 23) | (1u << 24) | (1u << 25));
  } else if (leaf == 7 && sub == 1) {
    a &= ~((1u << 5) | (1u << 21));
    d &= ~((1u << 8) | (1u << 19));
    if (avx2_only) {
      a &= ~((1u << 4) | (1u << 23));
      d &= ~((1u << 4) | (1u << 5) | (1u << 10));
    }
  } else if (leaf == 0xD && sub == 0) {
    a &= ~((7u << 5) | (3u << 17));
  } else if (leaf == 0x1D || leaf == 0x1E || leaf == 0x24) {
    a = b = c = d = 0;
  }
  r[REG_RAX] = a;
  r[REG_RBX] = b;
  r[REG_RCX] = c;
  r[REG_RDX] = d;
  r[REG_RIP] += sizeof kCpuid;
}

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
  if (memcmp((const void*)r[REG_RIP], patched ? kTrap : kCpuid, sizeof kCpuid) != 0) {
    signal(number, SIG_DFL);  // not ours: happens again, and ends the process
    return;
  }
  answer(r);
}

/// getenv() does not work yet where this runs before the C library's own start.
static const char* variable(char** environment, const char* name) {
  const size_t length = strlen(name);
  for (; *environment; ++environment) {
    if (!strncmp(*environment, name, length) && (*environment)[length] == '=') return *environment + length + 1;
  }
  return NULL;
}

__attribute__((constructor)) static void init(int count, char** arguments, char** environment) {
  (void)count;
  (void)arguments;
  const char* mode = variable(environment, "CPUMASK");
  if (!mode || !*mode || !strcmp(mode, "native")) return;
  avx2_only = !strcmp(mode, "avx2");
  patched = variable(environment, "CPUMASK_PATCHED") != NULL;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(patched ? SIGILL : SIGSEGV, &action, 0);
  if (!patched && syscall(SYS_arch_prctl, ARCH_CPUID, 0)) {
    perror("cpumask: ARCH_CPUID");
    _exit(77);
  }
}
