// SPDX-License-Identifier: Apache-2.0
// Figures for ./dev reliability: a test calls figure("key", value); the line "key value" goes to $WAYSIDE_FIGURES, if
// set.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string_view>

namespace wayside::testing_support {

template <class Number>
void figure(std::string_view key, Number value) {
  if (const char* path = std::getenv("WAYSIDE_FIGURES"))
    std::ofstream(path, std::ios::app) << key << ' ' << value << '\n';
}

/// True under ./dev reliability --full: many more seeds.
inline bool run_in_full() {
  const char* mode = std::getenv("WAYSIDE_RELIABILITY");
  return mode != nullptr && std::string_view(mode) == "full";
}

}  // namespace wayside::testing_support
