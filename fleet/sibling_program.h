// SPDX-License-Identifier: Apache-2.0
// Finds and runs the programs that do what this one does not link: waysided (device side), wayside-optimize (libtorch).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::fleet {

struct SiblingProgram {
  std::string_view name, build_folder;
  std::string_view remedy;  ///< ends the message when it is missing
};
inline constexpr SiblingProgram kAgentProgram{"waysided", "agent", "is the device side installed?"};
inline constexpr SiblingProgram kOptimizerProgram{
    "wayside-optimize", "optimizer",
    "it is for workstations only, ./dev build host-optimizer wayside-optimize makes it"};

/// The program beside this one, in its folder of the build tree, or in PATH, in this order. `self` is this program's
/// path, `search_path` the value of PATH. not_found says where it was looked for.
base::Result<std::filesystem::path> find_program(const SiblingProgram& program, const std::filesystem::path& self,
                                                 std::string_view search_path);

/// Replaces this process by the program with these arguments; returns only when that fails.
base::Error exec_program(const SiblingProgram& program, const std::vector<std::string>& arguments);

}  // namespace wayside::fleet
