// SPDX-License-Identifier: Apache-2.0
// Average precision at IoU 0.5 (AP50) per class over a set of pictures.
#pragma once

#include <span>
#include <vector>

#include "optimizer/data/labels.h"
#include "optimizer/detector/decode.h"

namespace wayside::optimizer {

/// Detections above this enter evaluate(): low enough that the precision-recall curve is complete.
inline constexpr float kLeastScore = 0.02F;

/// What was found in one picture and what is there, in the same px.
struct Judged {
  std::vector<Detection> found;
  std::vector<LabelBox> truth;  ///< kIgnoreClass: detections mostly inside count neither for nor against
};

struct ClassAccuracy {
  std::size_t object_count = 0;
  double average_precision = 0;  ///< area under the precision-recall curve (all points, precision made monotone)
  double recall = 0;             ///< at `score_threshold`
  double precision = 0;          ///< at `score_threshold`
};

/// One entry per class. Matching is greedy by score, one detection per object, IoU >= 0.5 (PASCAL VOC rules).
std::vector<ClassAccuracy> evaluate(std::span<const Judged> pictures, int class_count, float score_threshold);

/// Mean over the classes that occur; 0 when none does.
double mean_average_precision(std::span<const ClassAccuracy> classes);

}  // namespace wayside::optimizer
