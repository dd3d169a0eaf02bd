// SPDX-License-Identifier: Apache-2.0
// Text files line by line.
#pragma once

#include <algorithm>
#include <string_view>

namespace wayside::optimizer {

/// The first line of `text`, which then begins behind it; without its end, "\n" or "\r\n".
[[nodiscard]] inline std::string_view take_line(std::string_view& text) {
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace wayside::optimizer
