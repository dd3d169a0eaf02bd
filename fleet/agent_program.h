// SPDX-License-Identifier: Apache-2.0
// Finds and runs waysided: the operator's tool links nothing of the device side.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::fleet {

/// waysided beside this program, in the build tree's agent/ folder, or in PATH, in this order. `self` is this program's
/// path, `search_path` the value of PATH. not_found says where it was looked for.
base::Result<std::filesystem::path> find_agent(const std::filesystem::path& self, std::string_view search_path);

/// Replaces this process by waysided with these arguments; returns only when that fails.
base::Error exec_agent(const std::vector<std::string>& arguments);

}  // namespace wayside::fleet
