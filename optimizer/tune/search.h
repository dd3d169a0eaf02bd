// SPDX-License-Identifier: Apache-2.0
// Architecture search: width, depth and resolution of a given network under a latency that is measured, not estimated.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/prune.h"
#include "optimizer/tune/resize_graph.h"

namespace wayside::optimizer {

struct SearchSpace {
  std::vector<double> work_shares{1,   0.9, 0.8,  0.7,
                                  0.6, 0.5, 0.35, 0.25};  ///< width: what channel pruning leaves of the work
  std::vector<std::size_t> left_out{0, 1, 2};             ///< depth: blocks that go, the least important first
  std::vector<PictureSize> sizes;                         ///< resolution; empty: the network's own
};
/// Most combinations that one search measures.
inline constexpr std::size_t kMaxCandidates = 512;

struct Candidate {
  double work_share = 1;
  std::size_t left_out = 0;
  PictureSize size;
  ir::Graph graph;
  KeptChannels kept;  ///< of the given graph's tensors
  std::chrono::nanoseconds latency{};
  bool fits = false;       ///< within the limit
  double score = 0;        ///< of the last round that it took part in
  std::size_t rounds = 0;  ///< that it took part in; 0: not among the finalists
};

struct Search {
  std::chrono::nanoseconds limit{};
  PruneOptions prune;  ///< kept_mac_share comes from the space
  std::size_t finalists = 8;
  /// Median time of one run on the target's engine; see measure_on_cpu().
  std::function<base::Result<std::chrono::nanoseconds>(const ir::Graph&)> measure;
  /// Which channels go first.
  std::function<base::Result<RemovalOrder>(const ir::Graph&)> order;
  /// How good the network is, higher is better; may change its weights, longer with each round (0, 1, ..).
  std::function<base::Result<double>(Candidate&, std::size_t round)> score;
  /// How much the outputs suffer; chooses the blocks to leave out. Lower is better.
  std::function<base::Result<double>(const ir::Graph&)> damage;
};

/// Builds every combination and measures it. Of those within the limit `finalists` are scored, the largest by work of
/// each depth and then the largest of all, and the better half of them again until one is left (successive halving:
/// Jamieson and Talwalkar, arXiv 1502.07943).
/// Returns all candidates, the best first, then the others that fit, then those that do not.
/// Errors: unsupported where no combination can be built, exhausted (kMaxCandidates), not_found when nothing fits (the
/// message has the fastest), and those of the four functions.
[[nodiscard]] base::Result<std::vector<Candidate>> search_architecture(const ir::Graph& graph, const SearchSpace& space,
                                                                       const Search& search);

}  // namespace wayside::optimizer
