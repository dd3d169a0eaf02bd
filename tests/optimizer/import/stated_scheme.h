// SPDX-License-Identifier: Apache-2.0
// The ranges that an imported file states, as a scheme to simulate.
#pragma once

#include <cmath>

#include "optimizer/ir/graph.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer {

/// Weights stay as they were imported: they are on their grid.
inline Scheme stated_scheme(const ir::Graph& graph) {
  Scheme scheme{.activations = {}, .weights = std::vector<WeightFormat>(graph.ops.size(), WeightFormat::float32)};
  for (const auto& tensor : graph.tensors) {
    const float scale = (tensor.high - tensor.low) / 255;
    const bool stated = tensor.constant.empty() && scale > 0;
    scheme.activations.push_back(
        stated ? TensorQuantization{scale, static_cast<int>(std::lround(-128 - tensor.low / scale))}
               : TensorQuantization{0, 0});
  }
  return scheme;
}

}  // namespace wayside::optimizer
