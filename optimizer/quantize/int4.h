// SPDX-License-Identifier: Apache-2.0
// Four-bit weights: which layers bear them, and where their few levels lie.
#pragma once

#include <cstddef>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer {

/// Clips each output channel where 15 levels have the least squared error; the clipped weight is the channel's largest
/// from then on, so that weight_scale() finds the levels again.
void clip_for_int4(ir::Op& op);

/// For each operator the signal-to-noise ratio in dB of the graph's outputs when only its weights have four bits;
/// operators without weights: 0. The first four samples are enough: sensitivities differ by far more than samples do.
[[nodiscard]] std::vector<double> int4_sensitivity(const ir::Graph& graph, const std::vector<ir::Values>& samples);

/// int4 for the layers that lose least, as long as together they hold at most `share` (0..1) of the weights; int8 for
/// the others.
[[nodiscard]] std::vector<WeightFormat> choose_int4(const ir::Graph& graph, const std::vector<double>& sensitivity,
                                                    double share);

}  // namespace wayside::optimizer
