// SPDX-License-Identifier: Apache-2.0
// YuNet: faces with five landmarks, of three levels of cells.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "optimizer/data/labels.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

struct Point {
  double x_px = 0, y_px = 0;
};
/// The eyes, the nose and the corners of the mouth, each pair from left to right of the picture.
using Landmarks = std::array<Point, 5>;

struct Face {
  LabelBox box;
  float score = 0;  ///< 0..1
  Landmarks landmarks;
};

/// Output numbers of a level.
struct YunetLevel {
  int stride = 8, columns = 0, rows = 0;
  std::size_t classes = 0, objects = 0, boxes = 0, points = 0;
};

/// The network's 12 outputs by their names (cls, obj, bbox and kps, _8, _16 and _32). Errors: unsupported, naming the
/// output that is missing or has another size.
base::Result<std::vector<YunetLevel>> yunet_levels(const ir::Graph& graph);

/// Every cell from `least_score` on, in px of the network's input; no suppression. Source of the formulas: OpenCV,
/// modules/objdetect/src/face_detect.cpp, postProcess.
[[nodiscard]] std::vector<Face> decode_yunet(std::span<const YunetLevel> levels,
                                             std::span<const std::vector<float>> outputs, float least_score);

}  // namespace wayside::optimizer
