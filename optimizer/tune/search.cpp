// SPDX-License-Identifier: Apache-2.0
// Grid, measurement, successive halving.
#include "optimizer/tune/search.h"

#include <algorithm>
#include <format>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <utility>

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// The graph with 0, 1, .. `most` blocks left out, each time the one that does least damage.
Result<std::vector<ir::Graph>> by_depth(const ir::Graph& graph, std::size_t most, const Search& search) {
  std::vector<ir::Graph> out{graph};
  while (out.size() <= most) {
    std::optional<std::pair<double, ir::Graph>> best;
    for (const Block& block : removable_blocks(out.back())) {
      auto shorter = without_block(out.back(), block);
      WAYSIDE_TRY(const double damage, search.damage(shorter));
      if (!best || damage < best->first) best.emplace(damage, std::move(shorter));
    }
    if (!best) break;
    out.push_back(std::move(best->second));
  }
  return out;
}

std::uint64_t work(const Candidate& candidate) { return ir::cost(candidate.graph).mac_count; }

/// Sizes that a network cannot take and shares that its limits do not allow give no candidate.
Result<std::vector<Candidate>> build(const ir::Graph& graph, const SearchSpace& space, const Search& search) {
  const auto& shape = graph.tensors[graph.inputs[0]].shape;
  auto sizes = space.sizes;
  if (sizes.empty())
    sizes.push_back(shape.size() == 4 ? PictureSize{.rows = shape[1], .columns = shape[2]} : PictureSize{});
  if (sizes.size() * space.left_out.size() * space.work_shares.size() > kMaxCandidates)
    return fail(Code::exhausted, std::format("search: more than {} combinations; name fewer", kMaxCandidates));
  if (space.left_out.empty() || space.work_shares.empty())
    return fail(Code::invalid_argument, "search: at least one depth and one work share are needed");
  WAYSIDE_TRY(const auto depths, by_depth(graph, std::ranges::max(space.left_out), search));
  std::vector<Candidate> out;
  std::string problem = "no block can be left out";
  for (const std::size_t left_out : space.left_out) {
    if (left_out >= depths.size()) continue;
    WAYSIDE_TRY(const auto order, search.order(depths[left_out]));
    for (const double share : space.work_shares) {
      PruneOptions options = search.prune;
      options.kept_mac_share = share;
      WAYSIDE_TRY(auto pruned, prune_in_order(depths[left_out], order, options));
      for (const PictureSize& size : sizes) {
        const bool same = shape.size() != 4 || size == PictureSize{.rows = shape[1], .columns = shape[2]};
        auto sized = same ? Result<ir::Graph>(pruned.graph) : with_picture_size(pruned.graph, size);
        if (sized) {
          out.push_back({.work_share = share,
                         .left_out = left_out,
                         .size = size,
                         .graph = *std::move(sized),
                         .kept = pruned.kept});
        } else {
          problem = sized.error().message;
        }
      }
    }
  }
  if (out.empty()) return fail(Code::unsupported, "search: no combination can be built: " + problem);
  return out;
}

/// By work, but the largest of each depth before the others: a shortened network does more work in the same time than a
/// thinner one, and would crowd it out.
void order_for_scoring(std::span<Candidate> fitting) {
  std::ranges::stable_sort(fitting, std::greater{}, work);
  std::set<std::size_t> depths;
  auto next = fitting.begin();
  for (auto one = next; one != fitting.end(); ++one) {
    if (depths.insert(one->left_out).second) std::rotate(next++, one, one + 1);
  }
}

/// The better half of what is left, round by round; the first `count` of the candidates take part.
Result<void> halve(std::span<Candidate> finalists, const Search& search) {
  for (std::size_t round = 0; !finalists.empty(); ++round) {
    for (Candidate& one : finalists) {
      WAYSIDE_TRY(one.score, search.score(one, round));
      ++one.rounds;
    }
    std::ranges::stable_sort(finalists, std::greater{}, &Candidate::score);
    if (finalists.size() == 1) break;
    finalists = finalists.first((finalists.size() + 1) / 2);
  }
  return {};
}

}  // namespace

Result<std::vector<Candidate>> search_architecture(const ir::Graph& graph, const SearchSpace& space,
                                                   const Search& search) {
  WAYSIDE_TRY(auto candidates, build(graph, space, search));
  for (Candidate& one : candidates) {
    WAYSIDE_TRY(one.latency, search.measure(one.graph));
    one.fits = one.latency <= search.limit;
  }
  const auto others = std::ranges::stable_partition(candidates, &Candidate::fits);
  const auto fitting = static_cast<std::size_t>(std::distance(candidates.begin(), others.begin()));
  if (fitting == 0) {
    const auto fastest = std::ranges::min_element(candidates, {}, &Candidate::latency);
    return fail(Code::not_found, std::format("search: nothing takes at most {} us; the fastest takes {} us",
                                             search.limit.count() / 1000, fastest->latency.count() / 1000));
  }
  order_for_scoring(std::span(candidates).first(fitting));
  WAYSIDE_CHECK(
      halve(std::span(candidates).first(std::min(fitting, std::max<std::size_t>(search.finalists, 1))), search));
  return candidates;
}

}  // namespace wayside::optimizer
