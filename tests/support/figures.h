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

/// How much to try, by who asks.
template <class Number>
struct Tries {
  Number test;   ///< an ordinary test run
  Number quick;  ///< ./dev reliability: all of it in a minute
  Number ci;     ///< ./dev reliability --ci: what each change must pass
  Number full;   ///< ./dev reliability --full
};

template <class Number>
Number tries(Tries<Number> of) {
  const char* mode = std::getenv("WAYSIDE_RELIABILITY");
  if (mode == nullptr) return of.test;
  const std::string_view name(mode);
  return name == "full" ? of.full : name == "ci" ? of.ci : of.quick;
}
inline bool run_in_full() { return tries<bool>({.test = false, .quick = false, .ci = false, .full = true}); }

}  // namespace wayside::testing_support
