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

/// How much to try: `full` under ./dev reliability --full, `quick` under ./dev reliability, else `test` (an ordinary
/// test run).
template <class Number>
Number tries(Number test, Number quick, Number full) {
  const char* mode = std::getenv("WAYSIDE_RELIABILITY");
  if (mode == nullptr) return test;
  return std::string_view(mode) == "full" ? full : quick;
}
inline bool run_in_full() { return tries(false, false, true); }

}  // namespace wayside::testing_support
