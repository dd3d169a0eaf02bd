// SPDX-License-Identifier: Apache-2.0
// The emulated machine's disk as its file system sees it: a network block device in front of the kernel's own disk.
//
// User-mode Linux' disk driver (ubd, seen with 6.12.101) acknowledges flushes without passing them on, so that nobody
// outside could tell what was flushed. This one, a process in the machine, passes each write on as it comes (ubd,
// O_DIRECT), and each flush as a write to the sector behind the last.
#pragma once

#include <string>

namespace wayside::test {

/// Starts it; /dev/nbd0 works when this returns. `modules`: folder of the kernel's modules. Returns what went wrong, or
/// nothing.
std::string start_disk(const std::string& modules);

}  // namespace wayside::test
