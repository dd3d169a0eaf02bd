// SPDX-License-Identifier: Apache-2.0
// Swish (SiLU), x * logistic(x): what it makes of INT8, and what helps.
#pragma once

#include <cstddef>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/calibration.h"

namespace wayside::optimizer {

/// Below this x * logistic(x) is nearer to 0 than -0.003, and logistic(x) and 1 - logistic(-x) to 0 than 0.0004, a
/// tenth of the step that INT8 has for them: x need not be told apart there.
inline constexpr float kLogisticEnd = -8;

/// mul(x, logistic(x)) where nobody else reads x or its logistic.
struct Swish {
  std::size_t logistic = 0, mul = 0;  ///< places among the operators
  ir::TensorId input = 0;             ///< x
  float factor = 1;                   ///< behind equalize_swish(): the most that a channel of x was enlarged by
};
[[nodiscard]] std::vector<Swish> find_swish(const ir::Graph& graph);

/// Ranges of the x of each swish begin at kLogisticEnd (times its factor), and what only logistics read has no more
/// than that on both sides: a layer's most negative outputs would else make the steps of all coarse.
void end_swish_ranges(const ir::Graph& graph, std::vector<Range>& ranges);

/// Equalisation through a swish, which does not scale with its input: layer, swish, further layers become layer * s,
/// a 1x1 depthwise layer / s before the logistic alone, mul, further layers / s, which is the same in float. s makes
/// each channel's range of x, measured on `samples`, and the further layers' weights for it alike (Xiao et al.,
/// SmoothQuant, arXiv 2211.10438, equation 4, with a half). Returns the number of places.
std::size_t equalize_swish(ir::Graph& graph, const std::vector<ir::Values>& samples);

}  // namespace wayside::optimizer
