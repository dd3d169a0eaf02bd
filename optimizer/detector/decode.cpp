// SPDX-License-Identifier: Apache-2.0
// Anchor-free decoding.
#include "optimizer/detector/decode.h"

#include <algorithm>
#include <utility>

namespace wayside::optimizer {
namespace {

void collect(const LevelView& level, int class_count, float threshold, std::vector<Detection>& out) {
  const auto stride = static_cast<float>(level.stride);
  for (std::size_t i = 0; i < level.scores.size(); ++i) {
    if (level.scores[i] < threshold) continue;
    const std::size_t cell = i / static_cast<std::size_t>(class_count);
    const auto columns = static_cast<std::size_t>(level.columns);
    const float x = (static_cast<float>(cell % columns) + 0.5F) * stride;
    const float y = (static_cast<float>(cell / columns) + 0.5F) * stride;
    const auto distance = [&](std::size_t side) { return std::max(0.0F, level.boxes[cell * 4 + side]) * stride; };
    const LabelBox box{x - distance(0), y - distance(1), x + distance(2), y + distance(3),
                       static_cast<int>(i % static_cast<std::size_t>(class_count))};
    out.push_back({box, level.scores[i]});
  }
}

}  // namespace

std::vector<Detection> suppress(std::vector<Detection> candidates, const DecodeOptions& options) {
  std::ranges::stable_sort(candidates, std::ranges::greater{}, &Detection::score);
  if (candidates.size() > options.max_candidates) candidates.resize(options.max_candidates);
  std::vector<Detection> kept;
  for (const auto& candidate : candidates) {
    const bool suppressed = std::ranges::any_of(kept, [&](const Detection& better) {
      return better.box.class_id == candidate.box.class_id &&
             overlap(better.box, candidate.box) > options.iou_threshold;
    });
    if (suppressed) continue;
    kept.push_back(candidate);
    if (kept.size() == options.max_detections) break;
  }
  return kept;
}

std::vector<Detection> decode(std::span<const LevelView> levels, int class_count, const DecodeOptions& options) {
  std::vector<Detection> candidates;
  for (const auto& level : levels) collect(level, class_count, options.score_threshold, candidates);
  return suppress(std::move(candidates), options);
}

}  // namespace wayside::optimizer
