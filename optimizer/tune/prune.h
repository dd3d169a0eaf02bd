// SPDX-License-Identifier: Apache-2.0
// Pruning: which channels matter least, and a smaller graph without them, at once or in rounds; masks of single
// weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/channel_groups.h"

namespace wayside::optimizer {

/// How much an output channel of a layer matters. l1, l2: norm of its weights (Li et al., arXiv 1608.08710). fpgm:
/// distance to the layer's other channels, so that what others can stand in for goes first (He et al., arXiv
/// 1811.00250). taylor: what the outputs would change (taylor_scores() in tune/taylor.h, as it needs samples).
/// reconstruction: what is left of that when the layers that read the channel make up for it (removal_order() in
/// tune/reconstruction.h).
enum class Importance : std::uint8_t { l1, l2, fpgm, taylor, reconstruction };
[[nodiscard]] std::string_view to_string(Importance importance);
[[nodiscard]] std::optional<Importance> importance_of(std::string_view name);

/// One number for each output channel of each operator; empty for operators without weights.
using ChannelScores = std::vector<std::vector<float>>;
/// By the weights alone; `importance` is l1, l2 or fpgm. Batch norm's scale counts as part of the weights.
[[nodiscard]] ChannelScores weight_scores(const ir::Graph& graph, Importance importance);

struct PruneOptions {
  double kept_mac_share = 0.5;       ///< of the multiply-accumulates; reached as closely as the limits below allow
  double least_kept_channels = 0.1;  ///< share that every layer keeps, at least one channel
  /// The same share of each set of tied layers goes; else the least important go wherever they are.
  bool uniform = false;
  std::size_t multiple = 1;  ///< tied layers keep a multiple of this many groups: engines compute 8 or 16 at a time
};

struct Pruned {
  ir::Graph graph;            ///< smaller
  ir::Graph masked;           ///< the given graph with the same channels set to zero: computes the same
  KeptChannels kept;          ///< of the given graph's tensors
  std::size_t removed = 0;    ///< channels of all layers
  double kept_mac_share = 1;  ///< reached
};

/// Scores are made comparable between layers by dividing by the layer's mean; a group has the mean of its members.
/// Errors: invalid_argument (shares that are not in (0,1], scores that do not fit the graph).
[[nodiscard]] base::Result<Pruned> prune_channels(const ir::Graph& graph, const ChannelScores& scores,
                                                  const PruneOptions& options);

/// Groups of find_channel_groups(), the first to go first.
using RemovalOrder = std::vector<std::size_t>;
/// Takes the groups out in that order, as far as the limits allow; `uniform` says nothing here. Errors:
/// invalid_argument (shares that are not in (0,1], an order that does not name each group once).
[[nodiscard]] base::Result<Pruned> prune_in_order(const ir::Graph& graph, RemovalOrder order,
                                                  const PruneOptions& options);

/// Share that is left after each of `rounds`, fast at first, slow at the end (Zhu and Gupta, arXiv 1710.01878, eq. 1).
[[nodiscard]] std::vector<double> cubic_schedule(double kept_share, std::size_t rounds);

/// Prunes in rounds and lets `recover` train between them. `prune` sees the graph as it is.
struct PruneRounds {
  std::size_t rounds = 4;
  std::function<base::Result<Pruned>(const ir::Graph&, const PruneOptions&)> prune;
  /// Before recover(): what is left may make up for what is gone; `before` is the graph of this round's start.
  std::function<base::Result<void>(const ir::Graph& before, Pruned&)> repair{};
  std::function<base::Result<void>(ir::Graph&, std::size_t round)> recover;
};
[[nodiscard]] base::Result<ir::Graph> prune_in_rounds(ir::Graph graph, const PruneRounds& rounds, PruneOptions options);

/// Sets the smallest weights of all layers together to zero, `zero_share` of them; each counts in parts of its layer's
/// root mean square, or layers of small weights would lose all of theirs. Returns how many are zero.
std::size_t sparsify(ir::Graph& graph, double zero_share);

/// Sets the two smallest of each four neighbouring input channels of a weight to zero (2:4, as sparse tensor cores want
/// it: Mishra et al., arXiv 2104.08378). Depthwise layers and layers whose inputs are no multiple of 4 stay. Returns
/// how many weights are zero.
std::size_t sparsify_2_4(ir::Graph& graph);

}  // namespace wayside::optimizer
