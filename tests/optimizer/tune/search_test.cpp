// SPDX-License-Identifier: Apache-2.0
// Other picture sizes, fewer blocks, measurement on the engine, and the search over all three.
#include "optimizer/tune/search.h"

#include <algorithm>
#include <numeric>

#include "optimizer/tune/latency.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

using ir::Activation;
using ir::OpKind;
using std::chrono::nanoseconds;

class SearchTest : public Tune {
 protected:
  /// A residual network with SAME padding, a path up, and a classifier over the mean; the same weights at every size.
  ir::Graph network(int rows, int columns) {
    random.seed(5);
    assembler = {};
    auto x = conv(assembler.input("in", {1, rows, columns, 3}), 8, 3, "stem");
    for (const std::string name : {"first", "second"}) {
      const auto spread = layer(OpKind::depthwise_conv, conv(x, 16, 1, name + "_wide"), 16, 3, name + "_spread");
      x = add({.kind = OpKind::add, .inputs = {x, conv(spread, 8, 1, name + "_narrow", Activation::none)}}, name);
    }
    const auto small = add({.kind = OpKind::average_pool,
                            .inputs = {x},
                            .window = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2}},
                           "small");
    const auto up = add({.kind = OpKind::resize_nearest, .inputs = {small}}, "up", {1, rows, columns, 8});
    const auto cells = conv(up, 4, 1, "cells", Activation::none);
    assembler.output(add({.kind = OpKind::reshape, .inputs = {cells}}, "rows", {1, rows * columns, 4}));
    const auto whole =
        add({.kind = OpKind::average_pool, .inputs = {up}, .window = {.kernel_h = rows, .kernel_w = columns}}, "whole");
    assembler.output(conv(whole, 3, 1, "class", Activation::none));
    return assembler.take();
  }
  Search search(nanoseconds limit) {
    return {.limit = limit,
            .prune = {},
            .finalists = 4,
            .measure = [](const ir::Graph& graph) -> base::Result<nanoseconds> {
              WAYSIDE_TRY(const auto latency, measure_on_cpu(graph, {.warmup_runs = 1, .runs = 3}));
              return latency.median;
            },
            .order = [](const ir::Graph& graph) -> base::Result<RemovalOrder> {
              RemovalOrder order(find_channel_groups(graph).groups.size());
              std::iota(order.begin(), order.end(), std::size_t{0});
              return order;
            },
            .score = [this](Candidate& one, std::size_t round) -> base::Result<double> {
              rounds.push_back(round);
              for (const auto& op : one.graph.ops) {
                const auto& output = one.graph.tensors[op.output];
                const auto left = one.kept.find(output.name);
                if (left != one.kept.end()) {
                  EXPECT_EQ(left->second.size(), static_cast<std::size_t>(output.shape.back())) << output.name;
                }
              }
              return -static_cast<double>(ir::cost(one.graph).mac_count);
            },
            .damage = [](const ir::Graph& graph) -> base::Result<double> {
              return -static_cast<double>(ir::cost(graph).mac_count);
            }};
  }
  std::vector<std::size_t> rounds;
};

TEST_F(SearchTest, TakesPicturesOfAnotherSize) {
  const auto graph = network(16, 16);
  for (const PictureSize size : {PictureSize{8, 24}, PictureSize{32, 4}, PictureSize{16, 16}}) {
    const auto expected = network(size.rows, size.columns);
    const auto got = with_picture_size(graph, size);
    ASSERT_TRUE(got) << got.error().message;
    for (std::size_t id = 0; id < expected.tensors.size(); ++id) {
      EXPECT_EQ(got->tensors[id].shape, expected.tensors[id].shape) << expected.tensors[id].name;
    }
    const auto input = inputs(expected);
    EXPECT_EQ(ir::Interpreter(*got).run(input), ir::Interpreter(expected).run(input));
  }
}

TEST_F(SearchTest, RefusesWhatReadsPlaces) {
  const auto in = assembler.input("in", {1, 4, 4, 2});
  const auto flat = add({.kind = OpKind::reshape, .inputs = {in}}, "flat", {1, 32});
  assembler.output(layer(OpKind::fully_connected, flat, 3, 1, "dense", Activation::none));
  const auto dense = with_picture_size(assembler.take(), {8, 8});
  ASSERT_FALSE(dense);
  EXPECT_EQ(dense.error().code, base::Code::unsupported);
  EXPECT_NE(dense.error().message.find("\"flat\""), std::string::npos) << dense.error().message;
  assembler = {};
  const auto picture = assembler.input("in", {1, 4, 4, 2});
  assembler.output(add({.kind = OpKind::add, .inputs = {picture, constant({1, 4, 4, 2})}}, "sum"));
  EXPECT_FALSE(with_picture_size(assembler.take(), {8, 8}));
}

TEST_F(SearchTest, LeavesBlocksOut) {
  const auto graph = network(8, 8);
  std::vector<std::string> names;
  for (const auto& block : removable_blocks(graph)) names.push_back(graph.tensors[block.out].name);
  EXPECT_EQ(names, (std::vector<std::string>{"first_spread", "first", "second_spread", "second"}));
  const auto shorter = without_block(graph, removable_blocks(graph)[1]);
  EXPECT_EQ(shorter.ops.size(), graph.ops.size() - 4);
  EXPECT_EQ(ir::Interpreter(shorter).run(inputs(graph)).size(), 2U);
}

TEST_F(SearchTest, MeasuresOnTheEngine) {
  const auto latency = measure_on_cpu(network(16, 16), {.warmup_runs = 1, .runs = 5});
  ASSERT_TRUE(latency) << latency.error().message;
  EXPECT_GT(latency->median.count(), 0);
  EXPECT_LE(latency->median, latency->p99);
  EXPECT_GT(latency->file_bytes, 1000U);
  EXPECT_GT(latency->arena_bytes, 0U);
}

TEST_F(SearchTest, HalvesTheFinalists) {
  const auto graph = network(16, 16);
  const auto found =
      search_architecture(graph, {.work_shares = {1, 0.6}, .left_out = {0, 1}, .sizes = {{16, 16}, {8, 8}}},
                          search(std::chrono::minutes(1)));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 8U);
  // Four, two, one: the smallest of the four largest wins, as the score wants it small.
  EXPECT_EQ(rounds, (std::vector<std::size_t>{0, 0, 0, 0, 1, 1, 2}));
  EXPECT_EQ((*found)[0].rounds, 3U);
  EXPECT_EQ((*found)[1].rounds, 2U);
  EXPECT_EQ((*found)[3].rounds, 1U);
  EXPECT_EQ((*found)[4].rounds, 0U);
  for (const auto& one : *found) {
    EXPECT_TRUE(one.fits);
    EXPECT_GT(one.latency.count(), 0);
    EXPECT_EQ(one.graph.tensors[one.graph.inputs[0]].shape, (ir::Shape{1, one.size.rows, one.size.columns, 3}));
    EXPECT_GE(ir::cost((*found)[3].graph).mac_count, ir::cost((*found)[4].graph).mac_count);
  }
}

/// Shortened networks that do much work in little time leave a place for the thinner one of all blocks.
TEST_F(SearchTest, ScoresEveryDepth) {
  const auto graph = network(16, 16);
  const auto whole = static_cast<std::int64_t>(ir::cost(graph).mac_count);
  auto unfair = search(nanoseconds(4 * whole));
  unfair.measure = [&](const ir::Graph& one) -> base::Result<nanoseconds> {
    return nanoseconds(ir::cost(one).mac_count) * (one.ops.size() == graph.ops.size() ? 10 : 1);
  };
  const auto found = search_architecture(
      graph, {.work_shares = {1, 0.9, 0.8, 0.7, 0.6, 0.3}, .left_out = {0, 1}, .sizes = {}}, unfair);
  ASSERT_TRUE(found) << found.error().message;
  const auto scored = [&](std::size_t left_out) {
    return std::ranges::count_if(*found,
                                 [&](const Candidate& one) { return one.rounds > 0 && one.left_out == left_out; });
  };
  EXPECT_EQ(scored(0), 1);
  EXPECT_EQ(scored(1), 3);
}

/// With a measure that does not depend on the machine: what is over the limit is not scored.
TEST_F(SearchTest, KeepsTheLimit) {
  const auto graph = network(16, 16);
  const auto whole = static_cast<std::int64_t>(ir::cost(graph).mac_count);
  auto limited = search(nanoseconds(whole * 7 / 10));
  limited.measure = [](const ir::Graph& one) -> base::Result<nanoseconds> {
    return nanoseconds(ir::cost(one).mac_count);
  };
  const SearchSpace space{.work_shares = {1, 0.6, 0.3}, .left_out = {0}, .sizes = {}};
  const auto found = search_architecture(graph, space, limited);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 3U);
  EXPECT_TRUE((*found)[0].fits && (*found)[1].fits);
  EXPECT_FALSE((*found)[2].fits);
  EXPECT_EQ((*found)[2].work_share, 1);
  EXPECT_EQ((*found)[2].rounds, 0U);
  limited.limit = nanoseconds(1);
  const auto none = search_architecture(graph, space, limited);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, base::Code::not_found);
}

}  // namespace
}  // namespace wayside::optimizer
