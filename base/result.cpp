// SPDX-License-Identifier: Apache-2.0
// Names of error codes and the mapping from errno.
#include "base/result.h"

#include <system_error>

namespace wayside::base {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::invalid_argument: return "invalid argument";
    case Code::not_found: return "not found";
    case Code::corrupt: return "corrupt";
    case Code::unsupported: return "unsupported";
    case Code::io: return "i/o error";
    case Code::timeout: return "timeout";
    case Code::disconnected: return "disconnected";
    case Code::end_of_stream: return "end of stream";
    case Code::exhausted: return "exhausted";
    case Code::bad_state: return "bad state";
  }
  return "unknown";
}

std::unexpected<Error> fail_errno(std::string_view what, int sys_errno) {
  Code code = Code::io;
  if (sys_errno == ENOENT) code = Code::not_found;
  if (sys_errno == ENODEV || sys_errno == ENXIO) code = Code::disconnected;
  return std::unexpected(Error{code, sys_errno, std::string(what) + ": " + std::generic_category().message(sys_errno)});
}

}  // namespace wayside::base
