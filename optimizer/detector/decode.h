// SPDX-License-Identifier: Apache-2.0
// From head outputs to boxes: anchor-free decoding and non-maximum suppression, as the agent does it.
#pragma once

#include <span>
#include <vector>

#include "optimizer/data/labels.h"

namespace wayside::optimizer {

struct Detection {
  LabelBox box;
  float score = 0;  ///< 0..1
};

/// Head outputs of one level and one picture, cell by cell in rows: boxes [rows*columns,4] in strides (negative
/// distances count as 0), scores [rows*columns,classes] 0..1.
struct LevelView {
  int stride = 8, rows = 0, columns = 0;
  std::span<const float> boxes;
  std::span<const float> scores;
};

struct DecodeOptions {
  float score_threshold = 0.35F;
  float iou_threshold = 0.5F;
  std::size_t max_detections = 100;
  std::size_t max_candidates = 1000;  ///< best-scoring cells that enter the suppression
};

/// Greedy suppression per class, best score first: a box that overlaps a better one by more than iou_threshold goes.
std::vector<Detection> suppress(std::vector<Detection> candidates, const DecodeOptions& options);

/// The centre of cell (x,y) is ((x + 0.5) * stride, (y + 0.5) * stride). One cell may report several classes.
/// Suppression is per class. Best score first.
std::vector<Detection> decode(std::span<const LevelView> levels, int class_count, const DecodeOptions& options);

}  // namespace wayside::optimizer
