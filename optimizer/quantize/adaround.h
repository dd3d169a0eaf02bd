// SPDX-License-Identifier: Apache-2.0
// AdaRound: learns for each weight whether it goes up or down, so that its layer's outputs change least.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer {

struct AdaRoundOptions {
  std::int64_t steps = 1000;  ///< for each layer
  std::uint64_t seed = 1;     ///< of the places that are looked at
  bool correct_bias = true;   ///< what the rounded layer adds on average is taken from its bias
};

/// Nagel et al., Up or Down?, arXiv 2004.10568. Layer by layer, in order: the layer gets what the rounded network
/// before it gives, and shall give what the same layer of `exact` gives in float, after its activation, at some
/// thousand places of the samples. Rounding is a rectified sigmoid (formula 23) that a regulariser drives to 0 or 1
/// (formula 24). A layer for which nearest rounding is the better one keeps it.
///
/// `graph` has exact's operators, with weights that are clipped to their levels; afterwards they are on the grid that
/// weight_scale() finds, and rounding them again changes nothing. Layers of the narrowest format in the scheme are
/// rounded so, others to the nearest. Called with the share done, false stops. Errors: bad_state (stopped; the graph is
/// as it was).
[[nodiscard]] base::Result<void> round_adaptively(const ir::Graph& exact, ir::Graph& graph, const Scheme& scheme,
                                                  const std::vector<ir::Values>& samples,
                                                  const AdaRoundOptions& options,
                                                  const std::function<bool(double)>& progress);

}  // namespace wayside::optimizer
