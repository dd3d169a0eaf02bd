// SPDX-License-Identifier: Apache-2.0
// Preloaded into RAUC's service on kernels from 6.19 on (image/tree.py), until Debian's RAUC is 1.15 or later: see the
// header.
#include "agent/rauc/verity_status.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  std::va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const long result = ::syscall(SYS_ioctl, fd, request, argument);
  if (result == 0 && request == DM_TABLE_STATUS) wayside::agent::trim_verity_status(*static_cast<dm_ioctl*>(argument));
  return static_cast<int>(result);
}
