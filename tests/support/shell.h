// SPDX-License-Identifier: Apache-2.0
// Runs a command line as a person would type it.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>
#include <utility>

namespace wayside::testing_support {

/// What `line` wrote to standard output (both streams with 2>&1 in it), and its exit status; -1 when it was killed.
inline std::pair<std::string, int> shell(const std::string& line) {
  FILE* pipe = ::popen(line.c_str(), "r");
  if (pipe == nullptr) return {"cannot run a shell", -1};
  std::string out;
  std::array<char, 512> part{};
  while (const auto got = std::fread(part.data(), 1, part.size(), pipe)) out.append(part.data(), got);
  const int status = ::pclose(pipe);
  return {out, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

}  // namespace wayside::testing_support
