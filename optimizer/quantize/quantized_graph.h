// SPDX-License-Identifier: Apache-2.0
// QuantizedGraph: a graph whose weights and activations are INT8, ready to be written for an engine.
#pragma once

#include <cstdint>
#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// real = scale * (q - zero_point), q in -128..127.
struct TensorQuantization {
  float scale = 1;
  int zero_point = 0;
};

/// Weights of one convolution, in the layout of ir::Op::weight. weight = scale[o] * q, q in -127..127;
/// bias = input scale * scale[o] * q.
struct QuantizedWeights {
  std::vector<std::int8_t> weight;
  std::vector<float> scale;  ///< one per output channel
  std::vector<std::int32_t> bias;
};

struct QuantizedGraph {
  ir::Graph graph;                          ///< structure; its float weights are not used
  std::vector<TensorQuantization> tensors;  ///< one per graph tensor
  std::vector<QuantizedWeights> weights;    ///< one per op; empty for ops without weights
};

}  // namespace wayside::optimizer
