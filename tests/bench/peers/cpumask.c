// SPDX-License-Identifier: Apache-2.0
// LD_PRELOAD: hides AVX512/AMX (and with CPUMASK=avx2 also AVX-VNNI) from a peer, without a VM, by CPUID faulting
// (arch_prctl ARCH_CPUID).  CPUMASK=avxvnni ~ Alder Lake and later Core i5;  CPUMASK=avx2 ~ Haswell..Comet Lake Core i5.
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
static int avx2_only;
static void h(int sig, siginfo_t* si, void* uc_) {
  ucontext_t* uc = uc_;
  greg_t* r = uc->uc_mcontext.gregs;
  const uint8_t* ip = (const uint8_t*)r[REG_RIP];
  if (ip[0] != 0x0F || ip[1] != 0xA2) { signal(SIGSEGV, SIG_DFL); return; }
  uint32_t leaf = r[REG_RAX], sub = r[REG_RCX], a, b, c, d;
  syscall(SYS_arch_prctl, ARCH_CPUID, 1);
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
  syscall(SYS_arch_prctl, ARCH_CPUID, 0);
  if (leaf == 7 && sub == 0) {
    b &= ~((1u << 16) | (1u << 17) | (1u << 21) | (1u << 26) | (1u << 27) | (1u << 28) | (1u << 30) | (1u << 31));
    c &= ~((1u << 1) | (1u << 6) | (1u << 11) | (1u << 12) | (1u << 14));
    d &= ~((1u << 2) | (1u << 3) | (1u << 8) | (1u << 22) | (1u << 23) | (1u << 24) | (1u << 25));
  } else if (leaf == 7 && sub == 1) {
    a &= ~((1u << 5) | (1u << 21));
    d &= ~((1u << 8) | (1u << 19));
    if (avx2_only) { a &= ~((1u << 4) | (1u << 23)); d &= ~((1u << 4) | (1u << 5) | (1u << 10)); }
  } else if (leaf == 0xD && sub == 0) {
    a &= ~((7u << 5) | (3u << 17));
  } else if (leaf == 0x1D || leaf == 0x1E || leaf == 0x24) {
    a = b = c = d = 0;
  }
  r[REG_RAX] = a; r[REG_RBX] = b; r[REG_RCX] = c; r[REG_RDX] = d;
  r[REG_RIP] += 2;
}
__attribute__((constructor(101))) static void init(void) {
  const char* m = getenv("CPUMASK");
  if (!m || !*m || !strcmp(m, "native")) return;
  avx2_only = !strcmp(m, "avx2");
  struct sigaction s;
  memset(&s, 0, sizeof s);
  s.sa_sigaction = h;
  s.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &s, 0);
  if (syscall(SYS_arch_prctl, ARCH_CPUID, 0)) { perror("cpumask: ARCH_CPUID"); _exit(77); }
}
