// SPDX-License-Identifier: Apache-2.0
// The agent's version, from the build.
#pragma once

#include <string_view>

namespace wayside::agent {

inline constexpr std::string_view kVersion = WAYSIDE_VERSION;  // defined by agent/CMakeLists.txt from project(VERSION)

}  // namespace wayside::agent
