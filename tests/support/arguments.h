// SPDX-License-Identifier: Apache-2.0
// Arguments of the programs that print figures: a few whole numbers and nothing else.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace wayside::testing_support {

/// The arguments as positive numbers, at most `most`; nothing when one is something else (an option, say).
inline std::optional<std::vector<int>> numbers(int argc, char** argv, std::size_t most) {
  std::vector<int> values;
  for (int i = 1; i < argc; ++i) {
    const std::string_view text(argv[i]);
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || values.size() == most)
      return std::nullopt;
    values.push_back(value);
  }
  return values;
}

}  // namespace wayside::testing_support
