// SPDX-License-Identifier: Apache-2.0
// Channels that others can stand in for go first, whatever their weights; judged by what a refit leaves.
#include "optimizer/tune/reconstruction.h"

#include <algorithm>
#include <vector>

#include "optimizer/ir/interpreter.h"
#include "optimizer/tune/refit.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

class Reconstruction : public Tune {
 protected:
  void SetUp() override { ir::set_interpreter_threads(1); }
  Samples draw(std::size_t count, std::size_t values) {
    std::vector<ir::Values> out(count, ir::Values(values));
    for (ir::Values& one : out) {
      for (float& value : one) value = std::uniform_real_distribution<float>(0, 1)(random);
    }
    return samples_of(std::move(out));
  }
  /// Channel of the first layer that the group of this place in the order has.
  static std::size_t channel(const ChannelGroups& groups, std::size_t group) {
    return groups.groups[group].members[0].channel;
  }
};

/// Of three channels each is a mixture of the other two; the fourth is the smallest, but nothing stands for it.
TEST_F(Reconstruction, WhatOthersCanStandInForGoesFirst) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto first = conv(in, 4, 1, "first", ir::Activation::none);
  assembler.output(conv(first, 2, 3, "last", ir::Activation::none));
  ir::Graph graph = assembler.take();
  graph.ops[0].weight = {3, 0, 1, 0, 2, -1, 3, 2, 0, 0, 0, 2};
  graph.ops[0].bias = {1, 2, 3, 0};
  graph.ops[1].weight.assign(graph.ops[1].weight.size(), 1);
  const auto groups = find_channel_groups(graph);
  const auto order = removal_order(graph, draw(8, 192), {}, 1);
  ASSERT_TRUE(order) << order.error().message;
  ASSERT_EQ(order->size(), 4U);
  EXPECT_NE(channel(groups, (*order)[0]), 3U);
  const auto smallest = prune_channels(graph, weight_scores(graph, Importance::l2), {.kept_mac_share = 0.99});
  ASSERT_TRUE(smallest);
  EXPECT_EQ(smallest->masked.ops[0].weight[11], 0) << "by its weights it would have gone";
}

/// What nothing reads with a weight costs nothing.
TEST_F(Reconstruction, WhatIsNotReadGoesFirst) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto first = conv(in, 8, 3, "first", ir::Activation::relu);
  const auto last = conv(first, 4, 1, "last", ir::Activation::none);
  assembler.output(last);
  ir::Graph graph = assembler.take();
  for (std::size_t o = 0; o < 4; ++o) graph.ops[1].weight[o * 8 + 5] = 0;
  const auto groups = find_channel_groups(graph);
  const auto samples = draw(8, 192);
  const auto order = removal_order(graph, samples, {}, 1);
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_EQ(channel(groups, (*order)[0]), 5U);
  EXPECT_EQ(*order, *removal_order(graph, samples, {}, 1));
}

TEST_F(Reconstruction, GroupsThatMustStayGoLast) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto wide = conv(in, 8, 3, "wide", ir::Activation::relu);
  const auto deep = layer(ir::OpKind::depthwise_conv, wide, 8, 3, "deep", ir::Activation::relu);
  const auto narrow = conv(deep, 2, 1, "narrow", ir::Activation::relu);
  assembler.output(conv(narrow, 4, 1, "last", ir::Activation::none));
  const ir::Graph graph = assembler.take();
  const auto groups = find_channel_groups(graph);
  const auto order = removal_order(graph, draw(8, 192), {.least_kept_channels = 0.5}, 1);
  ASSERT_TRUE(order) << order.error().message;
  ASSERT_EQ(order->size(), 10U);
  const auto of_narrow = std::count_if(order->begin(), order->begin() + 5,
                                       [&](std::size_t group) { return groups.groups[group].members.size() == 1; });
  EXPECT_EQ(of_narrow, 1) << "four of eight and one of two may go";
  EXPECT_FALSE(removal_order(graph, {}, {}, 1));
}

}  // namespace
}  // namespace wayside::optimizer
