// SPDX-License-Identifier: Apache-2.0
// The street detector's network: depthwise-separable trunk, light top-down path, separate box and score heads.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// One level of resolution of the trunk; the first block of a stage halves the picture.
struct Stage {
  int channels = 32;
  int blocks = 2;
};

struct NetworkOptions {
  int width_px = 320, height_px = 192;  ///< multiples of 32
  int class_count = 4;
  int stem_channels = 16;
  std::array<Stage, 4> stages{{{32, 2}, {64, 3}, {128, 5}, {256, 3}}};  ///< strides 4, 8, 16, 32
  int neck_channels = 64;
};

inline constexpr std::array<int, 3> kStrides{8, 16, 32};

/// Where one pair of head outputs stands among the graph's outputs.
/// boxes: [N,4,h,w] distances left, top, right, bottom of the cell's centre, in strides. logits: [N,classes,h,w].
struct HeadLevel {
  int stride = 8;
  int rows = 0, columns = 0;
  std::size_t boxes_output = 0, scores_output = 0;
};

struct Network {
  ir::Graph graph;  ///< outputs: boxes_8, scores_8, boxes_16, ...; scores are logits until append_logistic
  std::array<HeadLevel, 3> levels;
};

/// Errors: invalid_argument for sizes that the strides do not divide.
base::Result<Network> make_network(const NetworkOptions& options);

}  // namespace wayside::optimizer
