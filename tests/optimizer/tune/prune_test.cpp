// SPDX-License-Identifier: Apache-2.0
// Which channels and weights go, how many, and in which rounds.
#include "optimizer/tune/prune.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "optimizer/tune/taylor.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

using ir::Activation;
using ir::Op;
using ir::OpKind;

class Prune : public Tune {
 protected:
  ir::Graph deep_graph() {
    auto x = conv(assembler.input("in", {1, 8, 8, 3}), 8, 3, "stem");
    for (const std::string name : {"first", "second"}) {
      const auto wide = conv(x, 32, 1, name + "_wide");
      const auto spread = layer(OpKind::depthwise_conv, wide, 32, 3, name + "_spread");
      x = add({.kind = OpKind::add, .inputs = {x, conv(spread, 8, 1, name + "_narrow", Activation::none)}}, name);
    }
    assembler.output(conv(x, 4, 1, "out", Activation::none));
    return assembler.take();
  }
};

TEST_F(Prune, ReachesTheShareOfWork) {
  const auto graph = deep_graph();
  const auto input = inputs(graph);
  for (const auto importance : {Importance::l1, Importance::l2, Importance::fpgm}) {
    for (const bool uniform : {false, true}) {
      const auto pruned =
          prune_channels(graph, weight_scores(graph, importance), {.kept_mac_share = 0.5, .uniform = uniform});
      ASSERT_TRUE(pruned) << pruned.error().message;
      EXPECT_LE(pruned->kept_mac_share, 0.5);
      EXPECT_GT(pruned->kept_mac_share, 0.4);
      EXPECT_GT(pruned->removed, 10U);
      EXPECT_EQ(ir::Interpreter(pruned->graph).run(input), ir::Interpreter(pruned->masked).run(input));
    }
  }
}

TEST_F(Prune, KeepsMultiplesAndALeastShare) {
  const auto graph = deep_graph();
  const auto pruned = prune_channels(graph, weight_scores(graph, Importance::l1),
                                     {.kept_mac_share = 0.01, .least_kept_channels = 0.25, .multiple = 4});
  ASSERT_TRUE(pruned);
  for (const Op& op : pruned->graph.ops) {
    EXPECT_EQ(op.bias.size() % 4, 0U) << pruned->graph.tensors[op.output].name;
  }
  EXPECT_EQ(pruned->graph.ops[1].bias.size(), 8U);  // a quarter of 32
}

TEST_F(Prune, RefusesSenselessShares) {
  const auto graph = deep_graph();
  const auto scores = weight_scores(graph, Importance::l1);
  for (const double share : {0.0, -1.0, 1.5, std::nan("")}) {
    const auto pruned = prune_channels(graph, scores, {.kept_mac_share = share});
    ASSERT_FALSE(pruned) << share;
    EXPECT_EQ(pruned.error().code, base::Code::invalid_argument);
  }
  EXPECT_FALSE(prune_channels(graph, {}, {}));
}

/// Three filters: small, large, and twice nearly the same.
TEST_F(Prune, ScoresByNormAndByDistance) {
  const auto in = assembler.input("in", {1, 1, 1, 2});
  Op op{.kind = OpKind::conv, .inputs = {in}, .weight = {1, 1, -8, 0, 3, 4, 3, 4.5}, .bias = {0, 0, 0, 0}};
  assembler.output(add(std::move(op), "out"));
  const auto graph = assembler.take();
  EXPECT_EQ(weight_scores(graph, Importance::l1)[0], (std::vector<float>{2, 8, 7, 7.5}));
  EXPECT_EQ(weight_scores(graph, Importance::l2)[0][1], 8);
  EXPECT_EQ(weight_scores(graph, Importance::l2)[0][2], 5);
  const auto distances = weight_scores(graph, Importance::fpgm)[0];
  EXPECT_EQ(std::ranges::max_element(distances) - distances.begin(), 1);  // far from all
  EXPECT_LT(distances[2], distances[0]);                                  // its twin can stand in
}

/// Large weights that the next layer does not read matter to the norms, not to Taylor.
TEST_F(Prune, TaylorSeesWhatReachesTheOutput) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  const auto hidden = conv(in, 4, 1, "hidden", Activation::none);
  assembler.output(conv(hidden, 2, 1, "out", Activation::none));
  auto graph = assembler.take();
  for (std::size_t i = 0; i < 3; ++i) graph.ops[0].weight[3 + i] = 100;    // channel 1 is large
  for (std::size_t o = 0; o < 2; ++o) graph.ops[1].weight[o * 4 + 1] = 0;  // and unread
  for (std::size_t o = 0; o < 2; ++o) graph.ops[1].weight[o * 4 + 2] = 3;  // channel 2 is read most
  const Samples samples = samples_of({inputs(graph)[0], inputs(graph)[0], inputs(graph)[0]});
  const auto scores = taylor_scores(graph, samples, 1);
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_EQ((*scores)[0][1], 0);
  EXPECT_GT((*scores)[0][2], 0);
  EXPECT_EQ(*scores, *taylor_scores(graph, samples, 1));
  EXPECT_NE(*scores, *taylor_scores(graph, samples, 2));
  EXPECT_FALSE(taylor_scores(graph, {}, 1));
  EXPECT_FALSE(taylor_scores(graph, samples_of({{1, 2}}), 1));
}

TEST_F(Prune, GoesInRounds) {
  const auto schedule = cubic_schedule(0.2, 4);
  ASSERT_EQ(schedule.size(), 4U);
  EXPECT_DOUBLE_EQ(schedule[0], 0.2 + 0.8 * 27 / 64);
  EXPECT_DOUBLE_EQ(schedule[3], 0.2);
  const auto graph = deep_graph();
  std::vector<double> shares;
  const auto whole = static_cast<double>(ir::cost(graph).mac_count);
  const auto pruned = prune_in_rounds(graph,
                                      {.rounds = 3,
                                       .prune =
                                           [](const ir::Graph& now, const PruneOptions& limits) {
                                             return prune_channels(now, weight_scores(now, Importance::l2), limits);
                                           },
                                       .recover =
                                           [&](ir::Graph& now, std::size_t round) {
                                             EXPECT_EQ(round, shares.size());
                                             shares.push_back(static_cast<double>(ir::cost(now).mac_count) / whole);
                                             return base::Result<void>{};
                                           }},
                                      {.kept_mac_share = 0.3});
  ASSERT_TRUE(pruned) << pruned.error().message;
  const auto expected = cubic_schedule(0.3, 3);
  ASSERT_EQ(shares.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(shares[i], expected[i], 0.06);
}

TEST_F(Prune, GoesInOrder) {
  const auto graph = deep_graph();
  RemovalOrder order(find_channel_groups(graph).groups.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::reverse(order);
  const auto pruned = prune_in_order(graph, order, {.kept_mac_share = 0.7});
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_LE(pruned->kept_mac_share, 0.7);
  EXPECT_EQ(std::ranges::count(pruned->masked.ops[0].bias, 0.0F), std::ranges::count(graph.ops[0].bias, 0.0F))
      << "the first layer's come last";
  order[0] = order[1];
  EXPECT_FALSE(prune_in_order(graph, order, {}));
  order.clear();
  EXPECT_FALSE(prune_in_order(graph, order, {}));
}

/// The smallest of each layer; a layer whose weights are a hundred times smaller loses about as many as the others.
TEST_F(Prune, SparsifiesTheSmallest) {
  auto graph = deep_graph();
  float size = 1;
  for (Op& op : graph.ops) {
    for (float& weight : op.weight) weight = size * std::normal_distribution<float>()(random);
    if (has_weights(op.kind)) size = size == 1 ? 0.01F : 1;
  }
  const auto weights = ir::cost(graph).weight_count;
  auto half = graph;
  EXPECT_EQ(sparsify(half, 0.5), weights / 2);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    float largest_gone = 0, least_left = 100;
    for (std::size_t k = 0; k < graph.ops[i].weight.size(); ++k) {
      const float before = std::abs(graph.ops[i].weight[k]);
      float& bound = half.ops[i].weight[k] == 0 ? largest_gone : least_left;
      bound = half.ops[i].weight[k] == 0 ? std::max(bound, before) : std::min(bound, before);
    }
    EXPECT_LE(largest_gone, least_left);
    const auto gone = std::ranges::count(half.ops[i].weight, 0.0F), all = std::ssize(half.ops[i].weight);
    if (all < 100) continue;
    EXPECT_NEAR(static_cast<double>(gone) / static_cast<double>(all), 0.5, 0.15) << "operator " << i;
  }
}

TEST_F(Prune, SparsifiesTwoOfFour) {
  auto graph = deep_graph();
  Op& wide = graph.ops[1];
  wide.weight[0] = 1, wide.weight[1] = -5, wide.weight[2] = 0.5F, wide.weight[3] = 2;
  const auto stem = graph.ops[0].weight;  // three input channels
  sparsify_2_4(graph);
  EXPECT_EQ(graph.ops[0].weight, stem);
  EXPECT_EQ((std::vector<float>(wide.weight.begin(), wide.weight.begin() + 4)), (std::vector<float>{0, -5, 0, 2}));
  for (std::size_t first = 0; first < wide.weight.size(); first += 4) {
    EXPECT_GE(std::count(wide.weight.begin() + static_cast<std::ptrdiff_t>(first),
                         wide.weight.begin() + static_cast<std::ptrdiff_t>(first + 4), 0.0F),
              2);
  }
}

}  // namespace
}  // namespace wayside::optimizer
