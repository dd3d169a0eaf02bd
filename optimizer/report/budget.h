// SPDX-License-Identifier: Apache-2.0
// Budget: what a variant may cost, as the user writes it: "latency<20ms,size<2MB,drop<1%".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer {

/// What was measured of one variant.
struct Figures {
  double latency_ms = 0;   ///< p50 of one run on the target
  double size_bytes = 0;   ///< of the emitted file
  double drop_points = 0;  ///< accuracy in float less accuracy on the target, in hundredths
};

/// A limit that is not given is not judged.
struct Budget {
  std::optional<double> latency_ms, size_bytes, drop_points;
};

/// Comma-separated limits, each at most once: latency in us, ms or s; size in B, kB or MB (1000 each); drop in %
/// (points of accuracy). Errors: invalid_argument (names the part and shows a right one).
[[nodiscard]] base::Result<Budget> parse_budget(std::string_view text);

/// One text for each limit that is not met ("latency 31.0 ms, not below 20.0 ms"); empty: all are.
[[nodiscard]] std::vector<std::string> misses(const Budget& budget, const Figures& figures);

}  // namespace wayside::optimizer
