// SPDX-License-Identifier: Apache-2.0
// Which channels go so that the layers that read them can make up for them best.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/prune.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

/// One group after the other, each time the one that costs least for the multiply-accumulates it saves. What it costs:
/// the change of the layers that read it once their other weights are fitted anew by least squares, in closed form
///   sum_o f_o w_oS ((H^-1)_SS)^-1 w_oS^T,  H = mean of the sum over places of x x^T,
/// S: the weights that read the group, o: the layer's outputs that are left (as in Hassibi and Stork, "Second order
/// derivatives for network pruning", 1992, for sets S), f_o: mean square of the network's outputs' derivative by output
/// o, so that layers count as the outputs feel them. H and the weights follow each step. A group that would leave a
/// layer fewer channels than `options` says goes last. Draws signs by `seed`. Errors: those of load_sample,
/// invalid_argument (no samples; several inputs).
[[nodiscard]] base::Result<RemovalOrder> removal_order(const ir::Graph& graph, const Samples& samples,
                                                       const PruneOptions& options, std::uint64_t seed);

}  // namespace wayside::optimizer
