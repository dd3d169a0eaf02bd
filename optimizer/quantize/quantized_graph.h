// SPDX-License-Identifier: Apache-2.0
// QuantizedGraph: a graph whose weights and activations are INT8, ready to be written for an engine.
#pragma once

#include <cstdint>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer {

/// Weights of one convolution, in the layout of ir::Op::weight, one per byte in both formats. weight = scale[o] * q;
/// bias = input scale * scale[o] * q.
struct QuantizedWeights {
  WeightFormat format = WeightFormat::int8;  ///< int8 or int4
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
