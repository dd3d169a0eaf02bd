// SPDX-License-Identifier: Apache-2.0
// Choice of channels by importance.
#include "optimizer/tune/prune.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <numeric>
#include <span>
#include <utility>

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;

constexpr std::array<std::pair<Importance, std::string_view>, 5> kNames{
    {{Importance::l1, "l1"},
     {Importance::l2, "l2"},
     {Importance::fpgm, "fpgm"},
     {Importance::taylor, "taylor"},
     {Importance::reconstruction, "reconstruction"}}};

/// Weights of each output channel, one after the other.
std::vector<std::vector<float>> filters(const Op& op) {
  const std::size_t channels = op.bias.size(), per_channel = op.weight.size() / channels;
  std::vector<std::vector<float>> out(channels, std::vector<float>(per_channel));
  for (std::size_t o = 0; o < channels; ++o) {
    const float factor =
        op.norm.empty() ? 1 : op.norm.gamma[o] / std::sqrt(op.norm.variance[o] + ir::kBatchNormEpsilon);
    for (std::size_t i = 0; i < per_channel; ++i) {
      const bool depthwise = op.kind == ir::OpKind::depthwise_conv;
      out[o][i] = factor * op.weight[depthwise ? i * channels + o : o * per_channel + i];
    }
  }
  return out;
}

float distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return static_cast<float>(std::sqrt(sum));
}

std::vector<float> layer_scores(const Op& op, Importance importance) {
  const auto all = filters(op);
  const std::vector<float> origin(all[0].size());
  std::vector<float> scores;
  for (const auto& filter : all) {
    float score = 0;
    if (importance == Importance::l1) {
      for (const float weight : filter) score += std::abs(weight);
    } else if (importance == Importance::l2) {
      score = distance(filter, origin);
    } else {
      for (const auto& other : all) score += distance(filter, other);
    }
    scores.push_back(score);
  }
  return scores;
}

/// One number for each group: the mean of its members', each in parts of its layer's mean.
Result<std::vector<double>> group_scores(const ir::Graph& graph, const ChannelGroups& groups,
                                         const ChannelScores& scores) {
  std::vector<double> means(graph.ops.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    if (!has_weights(graph.ops[i].kind)) continue;
    if (scores.size() != graph.ops.size() || scores[i].size() != graph.ops[i].bias.size())
      return fail(Code::invalid_argument, "pruning: the scores belong to another graph");
    means[i] = std::accumulate(scores[i].begin(), scores[i].end(), 0.0) / static_cast<double>(scores[i].size());
  }
  std::vector<double> out;
  for (const auto& group : groups.groups) {
    double sum = 0;
    for (const auto& [op, channel] : group.members)
      sum += means[op] > 0 ? static_cast<double>(scores[op][channel]) / means[op] : 0;
    out.push_back(sum / static_cast<double>(group.members.size()));
  }
  return out;
}

/// Order in which groups go, the first to go first.
std::vector<std::size_t> order_of_removal(const ChannelGroups& groups, std::vector<double> keys, bool uniform) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto by_key = [&keys](std::size_t group) { return keys[group]; };
  std::ranges::stable_sort(order, {}, by_key);
  if (!uniform) return order;
  std::vector<std::size_t> sizes(groups.set_count), ranks(groups.set_count);
  for (const auto& group : groups.groups) ++sizes[group.set];
  for (const std::size_t group : order) {
    const std::size_t set = groups.groups[group].set;
    keys[group] = static_cast<double>(ranks[set]++) / static_cast<double>(sizes[set]);
  }
  std::ranges::stable_sort(order, {}, by_key);
  return order;
}

class Chooser {
 public:
  Chooser(const ir::Graph& graph, const ChannelGroups& groups, std::vector<std::size_t> order,
          const PruneOptions& options)
      : graph_(graph), groups_(groups), order_(std::move(order)), options_(options) {}

  /// The first `count` of the order, less what the limits keep.
  [[nodiscard]] std::vector<bool> choose(std::size_t count) const {
    std::vector<bool> removed(order_.size());
    std::vector<std::size_t> left(graph_.ops.size());
    for (std::size_t i = 0; i < left.size(); ++i) left[i] = graph_.ops[i].bias.size();
    for (const std::size_t group : std::span(order_).first(count)) {
      const auto& members = groups_.groups[group].members;
      for (const auto& member : members) --left[member.op];
      const bool enough = std::ranges::all_of(members, [&](const LayerChannel& member) {
        const double channels = static_cast<double>(graph_.ops[member.op].bias.size());
        return static_cast<double>(left[member.op]) >=
               std::max(1.0, std::floor(channels * options_.least_kept_channels));
      });
      removed[group] = enough;
      if (enough) continue;
      for (const auto& member : members) ++left[member.op];
    }
    round_up(removed);
    return removed;
  }

  [[nodiscard]] Result<Pruned> prune(std::size_t count) const {
    const auto removed = choose(count);
    Pruned out{.graph = {}, .masked = graph_, .kept = kept_channels(graph_, groups_, removed)};
    WAYSIDE_TRY(out.graph, remove_channels(graph_, groups_, removed));
    mask_channels(out.masked, groups_, removed);
    for (std::size_t g = 0; g < removed.size(); ++g) {
      if (removed[g]) out.removed += groups_.groups[g].members.size();
    }
    out.kept_mac_share =
        static_cast<double>(ir::cost(out.graph).mac_count) / static_cast<double>(ir::cost(graph_).mac_count);
    return out;
  }

 private:
  /// The most important of the removed come back until each set keeps a multiple.
  void round_up(std::vector<bool>& removed) const {
    std::vector<std::size_t> kept(groups_.set_count);
    for (std::size_t g = 0; g < removed.size(); ++g) kept[groups_.groups[g].set] += removed[g] ? 0 : 1;
    for (auto group = order_.rbegin(); group != order_.rend(); ++group) {
      std::size_t& count = kept[groups_.groups[*group].set];
      if (!removed[*group] || count % options_.multiple == 0) continue;
      removed[*group] = false;
      ++count;
    }
  }

  const ir::Graph& graph_;
  const ChannelGroups& groups_;
  std::vector<std::size_t> order_;
  const PruneOptions& options_;
};

Result<Pruned> prune_groups(const ir::Graph& graph, const ChannelGroups& groups, RemovalOrder order,
                            const PruneOptions& options) {
  const auto is_share = [](double share) { return share > 0 && share <= 1; };
  if (!is_share(options.kept_mac_share) || !is_share(options.least_kept_channels) || options.multiple == 0) {
    return fail(Code::invalid_argument,
                std::format("pruning: shares {} and {}, multiple {}; shares lie above 0 and up to 1, multiples from 1",
                            options.kept_mac_share, options.least_kept_channels, options.multiple));
  }
  RemovalOrder sorted = order;
  std::ranges::sort(sorted);
  for (std::size_t g = 0; g < sorted.size(); ++g) sorted[g] -= g;  // all zero where each group is there once
  if (sorted.size() != groups.groups.size() || std::ranges::any_of(sorted, [](std::size_t gap) { return gap != 0; }))
    return fail(Code::invalid_argument, "pruning: the order belongs to another graph");
  const Chooser chooser(graph, groups, std::move(order), options);
  // The fewest that reach the share; all that the limits allow where none do.
  std::size_t low = 0, high = groups.groups.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    WAYSIDE_TRY(const auto tried, remove_channels(graph, groups, chooser.choose(middle)));
    const double share =
        static_cast<double>(ir::cost(tried).mac_count) / static_cast<double>(ir::cost(graph).mac_count);
    if (share <= options.kept_mac_share) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return chooser.prune(low);
}

}  // namespace

std::string_view to_string(Importance importance) {
  return std::ranges::find(kNames, importance, &decltype(kNames)::value_type::first)->second;
}

std::optional<Importance> importance_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name, &decltype(kNames)::value_type::second);
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

ChannelScores weight_scores(const ir::Graph& graph, Importance importance) {
  ChannelScores scores;
  for (const Op& op : graph.ops)
    scores.push_back(has_weights(op.kind) ? layer_scores(op, importance) : std::vector<float>{});
  return scores;
}

Result<Pruned> prune_channels(const ir::Graph& graph, const ChannelScores& scores, const PruneOptions& options) {
  const auto groups = find_channel_groups(graph);
  WAYSIDE_TRY(auto keys, group_scores(graph, groups, scores));
  return prune_groups(graph, groups, order_of_removal(groups, std::move(keys), options.uniform), options);
}

Result<Pruned> prune_in_order(const ir::Graph& graph, RemovalOrder order, const PruneOptions& options) {
  return prune_groups(graph, find_channel_groups(graph), std::move(order), options);
}

std::vector<double> cubic_schedule(double kept_share, std::size_t rounds) {
  std::vector<double> out;
  for (std::size_t i = 1; i <= rounds; ++i) {
    const double left = 1 - static_cast<double>(i) / static_cast<double>(rounds);
    out.push_back(kept_share + (1 - kept_share) * left * left * left);
  }
  return out;
}

Result<ir::Graph> prune_in_rounds(ir::Graph graph, const PruneRounds& rounds, PruneOptions options) {
  const auto macs = [](const ir::Graph& g) { return static_cast<double>(ir::cost(g).mac_count); };
  const double whole = macs(graph);
  const auto schedule = cubic_schedule(options.kept_mac_share, rounds.rounds);
  for (std::size_t round = 0; round < schedule.size(); ++round) {
    options.kept_mac_share = std::min(1.0, schedule[round] * whole / macs(graph));
    WAYSIDE_TRY(auto pruned, rounds.prune(graph, options));
    if (rounds.repair) WAYSIDE_CHECK(rounds.repair(graph, pruned));
    graph = std::move(pruned.graph);
    if (rounds.recover) WAYSIDE_CHECK(rounds.recover(graph, round));
  }
  return graph;
}

std::size_t sparsify(ir::Graph& graph, double zero_share) {
  struct Weight {
    float* value = nullptr;
    double size = 0;
  };
  std::vector<Weight> weights;
  for (Op& op : graph.ops) {
    double power = 0;
    for (const float weight : op.weight) power += static_cast<double>(weight) * static_cast<double>(weight);
    const double scale = power > 0 ? std::sqrt(static_cast<double>(op.weight.size()) / power) : 0;
    for (float& weight : op.weight) weights.push_back({&weight, std::abs(static_cast<double>(weight)) * scale});
  }
  const auto count = static_cast<std::size_t>(std::clamp(zero_share, 0.0, 1.0) * static_cast<double>(weights.size()));
  std::ranges::nth_element(weights, weights.begin() + static_cast<std::ptrdiff_t>(count), {}, &Weight::size);
  for (const Weight& weight : std::span(weights).first(count)) *weight.value = 0;
  return static_cast<std::size_t>(
      std::ranges::count_if(weights, [](const Weight& weight) { return *weight.value == 0; }));
}

std::size_t sparsify_2_4(ir::Graph& graph) {
  constexpr std::size_t kRun = 4, kZeros = 2;
  std::size_t zeros = 0;
  for (Op& op : graph.ops) {
    if (!has_weights(op.kind)) continue;
    const auto inputs = static_cast<std::size_t>(graph.tensors[op.inputs[0]].shape.back());
    const bool fits = op.kind != ir::OpKind::depthwise_conv && inputs % kRun == 0;
    for (std::size_t first = 0; fits && first < op.weight.size(); first += kRun) {
      std::array<std::size_t, kRun> order{0, 1, 2, 3};
      std::ranges::stable_sort(order, {}, [&](std::size_t i) { return std::abs(op.weight[first + i]); });
      for (const std::size_t i : std::span(order).first(kZeros)) op.weight[first + i] = 0;
    }
    zeros += static_cast<std::size_t>(std::ranges::count(op.weight, 0.0F));
  }
  return zeros;
}

}  // namespace wayside::optimizer
