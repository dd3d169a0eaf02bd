// SPDX-License-Identifier: Apache-2.0
// RunTimes: how long a session's runs take, and their percentiles.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "accel/accelerator.h"
#include "base/result.h"

namespace wayside::optimizer {

class RunTimes {
 public:
  /// One run; its time counts where it succeeds. Errors: those of Session::run().
  base::Result<void> run(accel::Session& session) {
    const auto started = std::chrono::steady_clock::now();
    WAYSIDE_CHECK(session.run());
    times_.push_back(std::chrono::steady_clock::now() - started);
    return {};
  }
  /// share 0.5: the median. 0 before the first run.
  [[nodiscard]] std::chrono::nanoseconds percentile(double share) const {
    auto sorted = times_;
    std::ranges::sort(sorted);
    if (sorted.empty()) return {};
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  }

 private:
  std::vector<std::chrono::nanoseconds> times_;
};

}  // namespace wayside::optimizer
