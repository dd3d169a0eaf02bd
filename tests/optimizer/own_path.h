// SPDX-License-Identifier: Apache-2.0
// A place for a test's file that no other run of the same test has, which may go on beside it.
#pragma once

#include <filesystem>
#include <format>
#include <random>
#include <string_view>

namespace wayside::optimizer {

inline std::filesystem::path own_path(std::string_view name) {
  return std::filesystem::temp_directory_path() / std::format("wayside-{:08x}-{}", std::random_device{}(), name);
}

}  // namespace wayside::optimizer
