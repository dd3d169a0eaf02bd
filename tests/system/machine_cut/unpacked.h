// SPDX-License-Identifier: Apache-2.0
// Runs a program of a Debian root that is only unpacked, with that root's own libraries.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/system/agent_process.h"

namespace wayside::test {

/// To its end. `program` is relative to `root`.
inline Finished run_unpacked(const std::filesystem::path& root, const std::string& program,
                             std::vector<std::string> arguments) {
  const auto libraries = root / "usr/lib/x86_64-linux-gnu";
  arguments.insert(arguments.begin(), {"--library-path", libraries.string(), (root / program).string()});
  return run_to_end(root / "usr/lib64/ld-linux-x86-64.so.2", arguments);
}

}  // namespace wayside::test
