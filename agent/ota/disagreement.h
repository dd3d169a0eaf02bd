// SPDX-License-Identifier: Apache-2.0
// Disagreement: how often two models see different objects in the same frames, by matching their boxes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/vision/detection.h"

namespace wayside::agent {

/// One model's view of one frame.
struct Sight {
  std::span<const Detection> detections;   ///< strongest first
  const std::vector<std::string>& labels;  ///< name of each class_id: models are compared by names, not numbers
  float score_threshold = 0;               ///< what the model reports from
};

struct Disagreement {
  std::uint64_t compared = 0;   ///< objects that at least one model is sure of
  std::uint64_t disagreed = 0;  ///< of those: that the other does not see there, or calls something else

  [[nodiscard]] std::uint64_t permille() const { return compared == 0 ? 0 : disagreed * 1000 / compared; }
};

/// Boxes belong together when they have one label and an intersection over union of at least this (the usual bar of
/// PASCAL VOC, Everingham et al. 2010, section 4.2).
inline constexpr float kSameObjectIou = 0.5F;
/// An object whose score is less than this above the threshold comes and goes by itself; nobody is blamed for it.
inline constexpr float kUnsureScore = 0.1F;

/// Adds one frame. Greedy by falling score of `old_sight`, each box used once.
void compare_sights(const Sight& old_sight, const Sight& new_sight, Disagreement& sum);

}  // namespace wayside::agent
