// SPDX-License-Identifier: Apache-2.0
// Jail: what a process gives up before it looks at downloaded bytes: files, network, children, executable memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace wayside::agent {

struct JailLimits {
  std::size_t memory_bytes = std::size_t{256} << 20U;  ///< address space
  std::uint64_t cpu_s = 60;
};

/// After success this process can read and write the file descriptors 0, 1 and 2 that it was started with, use memory
/// and end; every other system call kills it (SIGSYS). In order: root becomes nobody, all other descriptors are closed,
/// resource limits, no_new_privs, not traceable, seccomp. Call it before the first untrusted byte is read and before
/// threads are started. After an error the caller must end: some of it may have been given up.
base::Result<void> enter_jail(const JailLimits& limits = {});

}  // namespace wayside::agent
