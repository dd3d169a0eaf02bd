// SPDX-License-Identifier: Apache-2.0
// Rate limit and change detection of detection messages.
#include "agent/detection_policy.h"

#include <algorithm>

namespace wayside::agent {

DetectionPolicy::DetectionPolicy(Kind kind, double max_rate_hz)
    : kind_(kind), period_(static_cast<std::int64_t>(1e9 / max_rate_hz)) {}

bool DetectionPolicy::accept(const FrameReport& report) {
  // A tenth of a period early is in time: a camera's jitter must not halve a rate equal to its own.
  if (published_any_ && report.timestamp + period_ / 10 < next_due_) return false;
  Counts counts;
  for (std::size_t index = 0; index < report.count; ++index) ++counts[report.detections[index].class_id];
  const bool changed = counts != published_;
  const bool worth = kind_ == Kind::on_change ? changed : (!counts.empty() || changed);
  if (!worth) return false;
  // Due times stay on their grid, so that the average rate is reached with frames that do not fit it; after a pause the
  // grid starts anew, and half a period is then the shortest distance.
  next_due_ =
      published_any_ ? std::max(next_due_ + period_, report.timestamp + period_ / 2) : report.timestamp + period_;
  published_any_ = true;
  published_ = std::move(counts);
  return true;
}

}  // namespace wayside::agent
