// SPDX-License-Identifier: Apache-2.0
// Low-rank factorisation: one layer becomes two thinner ones by singular value decomposition of its weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// channel: a convolution to `rank` channels, then a pointwise one (Zhang et al., arXiv 1505.06798); also for dense and
/// pointwise layers. spatial: a column of taps to `rank` channels, then a row (Jaderberg et al., arXiv 1405.3866).
enum class Factorisation : std::uint8_t { channel, spatial };

struct LowRankOptions {
  double energy = 0.9;               ///< share of the sum of squared singular values that is kept, above 0 and up to 1
  std::optional<double> rank_share;  ///< instead of the energy: share of the full rank, at least 1 value
  double least_saving = 0.2;         ///< layers that would save a smaller share of their work stay as they are
};

struct FactorisedLayer {
  std::string name;
  Factorisation form = Factorisation::channel;
  std::size_t rank = 0, full_rank = 0;
  double kept_energy = 1;
  double kept_mac_share = 1;  ///< of the layer's multiply-accumulates
};

struct LowRank {
  ir::Graph graph;
  std::vector<FactorisedLayer> layers;
};

/// Each convolution and fully connected layer takes the form that leaves it least work. Depthwise layers stay. Where
/// two layers take the place of one, the tensor between them is named after the output with "_rank". Errors:
/// invalid_argument (shares out of range; batch norm that is not folded).
[[nodiscard]] base::Result<LowRank> factorise(const ir::Graph& graph, const LowRankOptions& options);

}  // namespace wayside::optimizer
