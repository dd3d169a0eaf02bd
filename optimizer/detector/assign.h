// SPDX-License-Identifier: Apache-2.0
// Task-aligned assignment: which cells answer for which object, from the network's own present predictions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "optimizer/data/labels.h"
#include "optimizer/detector/decode.h"

namespace wayside::optimizer {

/// Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, arXiv 2108.07755, section 3.3:
/// alignment = score^alpha * iou^beta; the best `top` cells per object are positive; their target score is the
/// alignment, rescaled so that its maximum over the object's cells is the largest IoU.
struct AssignOptions {
  std::size_t top = 9;
  float alpha = 1, beta = 6;
  float centre_radius = 1.5F;  ///< strides; cells this near to the centre of a small object are candidates too
};

/// Targets of one picture; one entry per cell, levels one after the other.
struct Targets {
  std::vector<std::int32_t> object;  ///< index into the boxes, -1: background, -2: ignored
  std::vector<float> score;          ///< target score of the object's class, 0 for background
};

/// boxes: px of the network's input. levels: predictions with sigmoid scores.
Targets assign(std::span<const LevelView> levels, int class_count, std::span<const LabelBox> boxes,
               const AssignOptions& options);

}  // namespace wayside::optimizer
