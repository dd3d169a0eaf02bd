// SPDX-License-Identifier: Apache-2.0
// Importance of channels by what the outputs would change without them; needs samples, but no labels.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "optimizer/tune/prune.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

/// First-order Taylor importance (Molchanov et al., arXiv 1906.10771, eq. 8): the mean square of sum(gradient * weight)
/// over a channel. The loss is the outputs' product with random signs, each output in parts of its root mean square;
/// its mean over signs is the squared change of the outputs, so that no labels are needed. The same seed gives the
/// same. Errors: invalid_argument (no samples, or a sample of another size than the graph's input).
[[nodiscard]] base::Result<ChannelScores> taylor_scores(const ir::Graph& graph, const Samples& samples,
                                                        std::uint64_t seed);

}  // namespace wayside::optimizer
