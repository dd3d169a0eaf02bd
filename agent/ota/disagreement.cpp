// SPDX-License-Identifier: Apache-2.0
// Greedy matching.
#include "agent/ota/disagreement.h"

#include <string_view>

namespace wayside::agent {
namespace {

std::string_view label(const Sight& sight, const Detection& detection) {
  const auto id = static_cast<std::size_t>(detection.class_id);
  return id < sight.labels.size() ? std::string_view(sight.labels[id]) : std::string_view();
}

bool sure(const Sight& sight, const Detection& detection) {
  return detection.score >= sight.score_threshold + kUnsureScore;
}

}  // namespace

void compare_sights(const Sight& old_sight, const Sight& new_sight, Disagreement& sum) {
  std::vector<bool> used(new_sight.detections.size(), false);
  for (const Detection& mine : old_sight.detections) {
    std::size_t best = used.size();
    float best_iou = kSameObjectIou;
    for (std::size_t i = 0; i < used.size(); ++i) {
      const Detection& other = new_sight.detections[i];
      if (used[i] || label(old_sight, mine) != label(new_sight, other)) continue;
      if (const float overlap = iou(mine, other); overlap >= best_iou) {
        best = i;
        best_iou = overlap;
      }
    }
    if (best < used.size()) {
      used[best] = true;
      ++sum.compared;
    } else if (sure(old_sight, mine)) {
      ++sum.compared;
      ++sum.disagreed;
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i] || !sure(new_sight, new_sight.detections[i])) continue;
    ++sum.compared;
    ++sum.disagreed;
  }
}

}  // namespace wayside::agent
