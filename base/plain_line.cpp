// SPDX-License-Identifier: Apache-2.0
// One pass over the bytes.
#include "base/plain_line.h"

#include <algorithm>

namespace wayside::base {

std::string plain_line(std::string_view text, std::size_t max_bytes) {
  std::string line(text.substr(0, max_bytes));
  std::ranges::replace_if(line, [](char c) { return c < ' ' || c > '~'; }, '?');
  return line;
}

}  // namespace wayside::base
