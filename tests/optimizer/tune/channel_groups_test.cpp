// SPDX-License-Identifier: Apache-2.0
// A graph without some channels computes exactly what the graph with these channels set to zero computes.
#include "optimizer/tune/channel_groups.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

using ir::Activation;
using ir::OpKind;

class Groups : public Tune {
 protected:
  /// Names of the layers in each set, with the number of its groups.
  static std::set<std::pair<std::set<std::string>, std::size_t>> sets(const ir::Graph& graph) {
    const auto found = find_channel_groups(graph);
    std::vector<std::pair<std::set<std::string>, std::size_t>> out(found.set_count);
    for (const auto& group : found.groups) {
      for (const auto& member : group.members)
        out[group.set].first.insert(graph.tensors[graph.ops[member.op].output].name);
      ++out[group.set].second;
    }
    return {out.begin(), out.end()};
  }
  /// Takes random groups out, several times; one of each set stays.
  void check_exact(const ir::Graph& graph) {
    const auto groups = find_channel_groups(graph);
    ASSERT_FALSE(groups.groups.empty());
    const auto input = inputs(graph);
    for (int round = 0; round < 8; ++round) {
      std::vector<bool> removed(groups.groups.size()), seen(graph.ops.size());
      for (std::size_t g = 0; g < removed.size(); ++g) {
        bool first = false;  // of one of its layers
        for (const auto& member : groups.groups[g].members) first = first || !seen[member.op];
        for (const auto& member : groups.groups[g].members) seen[member.op] = true;
        removed[g] = !first && std::uniform_int_distribution<int>(0, 2)(random) > 0;
      }
      ir::Graph masked = graph;
      mask_channels(masked, groups, removed);
      const auto smaller = remove_channels(graph, groups, removed);
      ASSERT_TRUE(smaller) << smaller.error().message;
      EXPECT_EQ(ir::cost(*smaller).weight_count < ir::cost(graph).weight_count, std::ranges::contains(removed, true));
      const auto expected = ir::Interpreter(masked).run(input);
      EXPECT_EQ(ir::Interpreter(*smaller).run(input), expected);
      // The test would see it if nothing came through.
      EXPECT_TRUE(std::ranges::any_of(expected[0], [](float x) { return x != 0; }));
    }
  }
};

TEST_F(Groups, FollowsResidualsAndDepthwise) {
  const auto in = assembler.input("in", {1, 6, 5, 3});
  const auto stem = conv(in, 6, 3, "stem");
  const auto wide = conv(stem, 12, 1, "wide");
  const auto spread = layer(OpKind::depthwise_conv, wide, 12, 3, "spread");
  const auto narrow = conv(spread, 6, 1, "narrow", Activation::none);
  const auto sum = add({.kind = OpKind::add, .inputs = {stem, narrow}, .activation = Activation::relu}, "sum");
  assembler.output(conv(sum, 4, 1, "out", Activation::none));
  const auto graph = assembler.take();
  EXPECT_EQ(sets(graph), (std::set<std::pair<std::set<std::string>, std::size_t>>{{{"stem", "narrow"}, 6},
                                                                                  {{"wide", "spread"}, 12}}));
  check_exact(graph);
}

/// After two removals the hidden tensors are those of the first graph in the channels that are said to be left.
TEST_F(Groups, SaysWhichChannelsAreLeft) {
  const auto in = assembler.input("in", {1, 6, 5, 3});
  const auto wide = conv(conv(in, 6, 3, "stem"), 12, 1, "wide");
  const auto pool = add({.kind = OpKind::mean, .inputs = {wide}, .axes = {1, 2}}, "mean");
  const auto flat = add({.kind = OpKind::reshape, .inputs = {pool}}, "flat", {1, 12});
  ir::Op dense{.kind = OpKind::fully_connected, .inputs = {flat}, .weight = whole(24, 2), .bias = whole(2, 2)};
  assembler.output(add(std::move(dense), "out"));
  const auto graph = assembler.take();
  const auto values_of = [&](const ir::Graph& network, const ir::Values& input) {
    std::map<std::string, ir::Values> values;
    ir::Interpreter interpreter(network);
    interpreter.observe([&](ir::TensorId id, std::span<const float> x) {
      values[network.tensors[id].name].assign(x.begin(), x.end());
    });
    static_cast<void>(interpreter.run({input}));
    return values;
  };
  ir::Graph smaller = graph, masked = graph;
  KeptChannels kept;
  for (const std::size_t nth : {3U, 2U}) {  // of the groups that are left
    const auto groups = find_channel_groups(smaller);
    std::vector<bool> removed(groups.groups.size());
    for (std::size_t g = 0; g < removed.size(); ++g) removed[g] = g % nth == 1;
    kept = joined(std::move(kept), kept_channels(smaller, groups, removed));
    smaller = *remove_channels(smaller, groups, removed);
  }
  EXPECT_FALSE(kept.contains("in") || kept.contains("out"));
  for (const char* layer : {"stem", "wide"}) {
    ir::Op& op = masked.ops[layer == std::string("stem") ? 0 : 1];
    const std::size_t per_channel = op.weight.size() / op.bias.size();
    for (std::size_t o = 0; o < op.bias.size(); ++o) {
      if (std::ranges::contains(kept.at(layer), o)) continue;
      std::fill_n(op.weight.begin() + static_cast<std::ptrdiff_t>(o * per_channel), per_channel, 0.0F);
      op.bias[o] = 0;
    }
  }
  const auto input = inputs(graph)[0];
  auto wanted = values_of(masked, input);
  const auto got = values_of(smaller, input);
  EXPECT_EQ(got.at("out"), wanted.at("out"));
  for (const char* name : {"stem", "wide", "flat"}) {
    const auto& left = kept.at(name);
    EXPECT_LT(left.size(), name == std::string("stem") ? 5U : 9U) << "twice some went";
    ir::Values subset;
    const std::size_t channels = name == std::string("stem") ? 6 : 12;
    for (std::size_t first = 0; first < wanted[name].size(); first += channels) {
      for (const std::size_t c : left) subset.push_back(wanted[name][first + c]);
    }
    EXPECT_EQ(got.at(name), subset) << name;
  }
}

TEST_F(Groups, FollowsConcatsSlicesAndPads) {
  const auto in = assembler.input("in", {1, 4, 4, 2});
  const auto a = conv(in, 4, 3, "a"), b = conv(in, 6, 1, "b");
  const auto joined = add({.kind = OpKind::concat, .inputs = {a, in, b}, .axes = {3}}, "joined");
  const auto part = add({.kind = OpKind::slice, .inputs = {joined}, .axes = {0, 0, 0, 2}, .steps = {1, 1, 1, 1}},
                        "part", {1, 4, 4, 9});
  const auto padded = add({.kind = OpKind::pad, .inputs = {part}, .axes = {0, 0, 1, 1, 0, 0, 0, 0}}, "padded");
  assembler.output(conv(padded, 3, 1, "out", Activation::none));
  const auto graph = assembler.take();
  // Channel 2 of a is the slice's first, which stays.
  EXPECT_EQ(sets(graph), (std::set<std::pair<std::set<std::string>, std::size_t>>{{{"a"}, 3}, {{"b"}, 6}}));
  check_exact(graph);
}

/// A channel shuffle as the passes leave it: two slices with a step of 2.
TEST_F(Groups, KeepsStepsWhole) {
  const auto in = assembler.input("in", {1, 4, 4, 2});
  const auto a = conv(in, 8, 3, "a");
  ir::Op join{.kind = OpKind::concat, .axes = {3}};
  for (const int half : {0, 1}) {
    const auto part = add({.kind = OpKind::slice, .inputs = {a}, .axes = {0, 0, 0, half}, .steps = {1, 1, 1, 2}},
                          "part", {1, 4, 4, 4});
    join.inputs.push_back(conv(part, 3, 1, "half", Activation::none));
  }
  assembler.output(conv(add(std::move(join), "joined"), 3, 1, "out", Activation::none));
  const auto graph = assembler.take();
  const auto groups = find_channel_groups(graph);
  const auto pairs = std::ranges::count_if(groups.groups, [](const auto& group) { return group.members.size() == 2; });
  EXPECT_EQ(pairs, 4);
  check_exact(graph);
}

TEST_F(Groups, FollowsAReshapedHead) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  const auto a = conv(in, 6, 3, "a");
  const auto nchw = add({.kind = OpKind::transpose, .inputs = {a}, .axes = {0, 3, 1, 2}}, "nchw");
  const auto flat = add({.kind = OpKind::reshape, .inputs = {nchw}}, "flat", {1, 96});
  const auto hidden = layer(OpKind::fully_connected, flat, 5, 1, "hidden");
  assembler.output(layer(OpKind::fully_connected, hidden, 3, 1, "out", Activation::none));
  const auto graph = assembler.take();
  EXPECT_EQ(sets(graph), (std::set<std::pair<std::set<std::string>, std::size_t>>{{{"a"}, 6}, {{"hidden"}, 5}}));
  check_exact(graph);
}

/// Squeeze and excite with a hard sigmoid: a channel's factor is 0.5 when its weights are zero, its product is zero.
TEST_F(Groups, FollowsAGate) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  const auto a = conv(in, 8, 3, "a");
  const auto mean = add({.kind = OpKind::mean, .inputs = {a}, .axes = {1, 2}}, "mean");
  const auto squeezed = conv(mean, 4, 1, "squeezed");
  const auto excited = conv(squeezed, 8, 1, "excited", Activation::none);
  const auto half = assembler.constant("half", {1}, {0.5F});
  const auto wide = add({.kind = OpKind::reshape, .inputs = {half}}, "scalar", {1, 1, 1, 1});
  const auto moved = add({.kind = OpKind::add, .inputs = {excited, wide}}, "moved");
  const auto gate = add({.kind = OpKind::clip, .inputs = {moved}, .alpha = 0, .beta = 1}, "gate");
  const auto product = add({.kind = OpKind::mul, .inputs = {a, gate}}, "product");
  assembler.output(conv(product, 3, 1, "out", Activation::none));
  const auto graph = assembler.take();
  EXPECT_EQ(sets(graph),
            (std::set<std::pair<std::set<std::string>, std::size_t>>{{{"a", "excited"}, 8}, {{"squeezed"}, 4}}));
  check_exact(graph);
}

TEST_F(Groups, SharesConstantsBetweenOperators) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  const auto factors = constant({1, 1, 1, 6});
  const auto slopes = assembler.constant("slopes", {6}, whole(6, 1));
  ir::Op join{.kind = OpKind::add};
  for (const std::string name : {"a", "b"}) {
    const auto one = conv(in, 6, 1, name, Activation::none);
    const auto scaled = add({.kind = OpKind::mul, .inputs = {factors, one}}, name + "scaled");
    const auto bent = add({.kind = OpKind::prelu, .inputs = {scaled, slopes}}, name + "bent");
    join.inputs.push_back(conv(bent, 3, 1, name + "out", Activation::none));
  }
  assembler.output(add(std::move(join), "sum"));
  check_exact(assembler.take());
}

TEST_F(Groups, KeepsWhatIsNotZeroWithoutItsWeights) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  const auto a = conv(in, 4, 1, "a", Activation::none);
  const auto moved = add({.kind = OpKind::add, .inputs = {a, constant({1, 1, 1, 4})}}, "moved");
  const auto squashed = add({.kind = OpKind::logistic, .inputs = {moved}}, "squashed");
  const auto b = conv(squashed, 4, 3, "b");
  const auto soft = add({.kind = OpKind::softmax, .inputs = {b}, .axes = {3}}, "soft");
  assembler.output(conv(soft, 3, 1, "out", Activation::none));
  EXPECT_TRUE(find_channel_groups(assembler.take()).groups.empty());
}

TEST_F(Groups, RefusesToEmptyALayer) {
  const auto in = assembler.input("in", {1, 4, 4, 3});
  assembler.output(conv(conv(in, 4, 1, "a"), 3, 1, "out"));
  const auto graph = assembler.take();
  const auto groups = find_channel_groups(graph);
  const auto empty = remove_channels(graph, groups, std::vector<bool>(groups.groups.size(), true));
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, base::Code::invalid_argument);
  EXPECT_NE(empty.error().message.find("\"a\""), std::string::npos) << empty.error().message;
}

}  // namespace
}  // namespace wayside::optimizer
