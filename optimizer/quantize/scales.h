// SPDX-License-Identifier: Apache-2.0
// Scales of tensors from their ranges, and rounding of weights.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "optimizer/quantize/quantized_graph.h"

namespace wayside::optimizer {

/// Fewer calibration pictures than this are refused: ranges of a handful of pictures do not hold in the field.
inline constexpr std::size_t kMinCalibrationPictures = 100;

/// Range of one tensor over the calibration set.
struct Range {
  float low = 0, high = 0;
};

/// Operators that only move, choose or average elements: their output has their input's scale.
[[nodiscard]] bool keeps_scale(ir::OpKind kind);

/// One scale for each tensor of a graph. `input`: the graph inputs' fixed quantisation, scale 0: from `ranges`.
/// keeps_scale() operators hand on their input's; logistic and softmax give 1/256, tanh
/// 1/128, as TFLite prescribes; zero is always representable; relu and relu6 bound the range.
[[nodiscard]] std::vector<TensorQuantization> scales_for(const ir::Graph& graph, const std::vector<Range>& ranges,
                                                         const TensorQuantization& input);

/// Rounds the weights of a graph without batch norm; `formats`: one per op, empty: int8 everywhere. Errors:
/// invalid_argument (norm not folded, sizes do not match, a float format).
base::Result<QuantizedGraph> quantize(const ir::Graph& graph, const std::vector<TensorQuantization>& scales,
                                      std::span<const WeightFormat> formats = {});

}  // namespace wayside::optimizer
