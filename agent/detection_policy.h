// SPDX-License-Identifier: Apache-2.0
// DetectionPolicy: which frames' detections are worth a message.
#pragma once

#include <cstdint>
#include <map>

#include "agent/frame_report.h"

namespace wayside::agent {

/// every: each frame that shows something, and the first one that shows nothing any more.
/// on_change: a frame whose number of objects of some label differs from the last published frame.
/// Both at most max_rate_hz (by the frames' timestamps); a change that comes too early is published with the next frame
/// that is due, so the last published state is at most one period old.
class DetectionPolicy {
 public:
  enum class Kind { every, on_change };
  DetectionPolicy(Kind kind, double max_rate_hz);

  /// True when the frame is to be published; then it counts as published.
  [[nodiscard]] bool accept(const FrameReport& report);

 private:
  using Counts = std::map<std::int32_t, int>;  // objects by class
  Kind kind_;
  std::chrono::nanoseconds period_;
  base::MonotonicTime next_due_{0};
  bool published_any_ = false;
  Counts published_;
};

}  // namespace wayside::agent
