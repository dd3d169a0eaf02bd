// SPDX-License-Identifier: Apache-2.0
// Untrusted text for one-line messages and records.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace wayside::base {

/// At most `max_bytes` of the text; whatever is not printable ASCII is a question mark.
[[nodiscard]] std::string plain_line(std::string_view text, std::size_t max_bytes);

}  // namespace wayside::base
