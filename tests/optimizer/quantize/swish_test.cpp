// SPDX-License-Identifier: Apache-2.0
// Swishes: found, the same in float after equalisation, less noise in INT8, ranges that end where they may.
#include "optimizer/quantize/swish.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "optimizer/ir/assembler.h"
#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

/// conv, swish, pad, depthwise, swish, conv; one channel of the first layer is 40 times the others'.
class Swished : public testing::Test {
 protected:
  void SetUp() override {
    ir::Assembler assembler;
    auto at = assembler.input("in", {1, 6, 6, 3});
    const auto append = [&](Op op, const char* name) {
      const auto made = assembler.append(std::move(op), name);
      EXPECT_TRUE(made) << name;
      return made.value_or(0);
    };
    const auto swish = [&](ir::TensorId x, const char* name) {
      const auto gate = append({.kind = OpKind::logistic, .inputs = {x}}, "gate");
      return append({.kind = OpKind::mul, .inputs = {x, gate}}, name);
    };
    Op first{.kind = OpKind::conv, .inputs = {at}, .weight = draw(4 * 3, 1), .bias = draw(4, 0.5F)};
    for (std::size_t k = 6; k < 9; ++k) first.weight[k] *= 40;
    at = swish(append(first, "first"), "a");
    at = append({.kind = OpKind::pad, .inputs = {at}, .axes = {0, 0, 1, 1, 1, 1, 0, 0}}, "padded");
    at = swish(append({.kind = OpKind::depthwise_conv,
                       .inputs = {at},
                       .window = {.kernel_h = 3, .kernel_w = 3},
                       .weight = draw(9 * 4, 0.5F),
                       .bias = draw(4, 0.5F)},
                      "second"),
               "b");
    Op last{.kind = OpKind::conv, .inputs = {at}, .weight = draw(2 * 4, 1), .bias = draw(2, 0.5F)};
    last.weight[2] = last.weight[6] = 0.001F;  // the large channel hardly counts
    assembler.output(append(last, "last"));
    graph = assembler.take();
    for (int i = 0; i < 100; ++i) samples.push_back(draw(6 * 6 * 3, 1));
  }
  std::vector<float> draw(std::size_t count, float most) {
    std::vector<float> out(count);
    for (auto& value : out) value = most * (static_cast<float>(random() >> 8) * 0x1.0p-23F - 1);
    return out;
  }
  std::mt19937 random{3};
  ir::Graph graph;
  std::vector<ir::Values> samples;
};

TEST_F(Swished, EqualisationChangesNothingInFloat) {
  EXPECT_EQ(find_swish(graph).size(), 2U);
  auto equal = graph;
  EXPECT_EQ(equalize_swish(equal, samples), 2U);
  EXPECT_EQ(equal.ops.size(), graph.ops.size() + 2);
  EXPECT_NE(equal.ops[0].weight, graph.ops[0].weight);
  EXPECT_EQ(equalize_swish(equal, samples), 0U) << "once is enough";
  const auto a = ir::Interpreter(graph).run({samples[0]})[0], b = ir::Interpreter(equal).run({samples[0]})[0];
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4F * (1 + std::abs(a[i])));
}

TEST_F(Swished, EqualisationLowersTheNoise) {
  const auto noise = [&](bool equalize) {
    const auto quantized = quantize_after_training(
        graph, samples, {0, 0}, {.method = RangeMethod::average, .equalize = equalize, .correct_bias = false}, {});
    EXPECT_TRUE(quantized);
    return noise_by_tensor(quantized->graph, quantized->scheme, samples)[quantized->graph.outputs[0]];
  };
  EXPECT_GT(noise(true), noise(false) + 3) << "decibels";
}

TEST_F(Swished, RangesEndWhereSwishIsNothing) {
  std::vector<Range> ranges(graph.tensors.size(), {-100, 50});
  end_swish_ranges(graph, ranges);
  const auto first = graph.ops[0].output;
  EXPECT_EQ(ranges[first].low, kLogisticEnd);
  EXPECT_EQ(ranges[first].high, 50) << "x itself is wanted there";
  EXPECT_EQ(ranges[graph.outputs[0]].low, -100) << "no swish";
  equalize_swish(graph, samples);
  ranges.assign(graph.tensors.size(), {-1000, 50});
  end_swish_ranges(graph, ranges);
  const auto& back = graph.ops[1];
  ASSERT_EQ(back.kind, OpKind::depthwise_conv);
  EXPECT_EQ(ranges[back.output].low, kLogisticEnd) << "only a logistic reads it";
  EXPECT_EQ(ranges[back.output].high, -kLogisticEnd);
  EXPECT_FLOAT_EQ(ranges[first].low, std::max(-1000.0F, kLogisticEnd / std::ranges::min(back.weight)));
}

/// Somebody else reads x, or the product: nothing may be scaled.
TEST_F(Swished, LeavesWhatOthersRead) {
  graph.outputs.push_back(graph.ops[0].output);
  graph.outputs.push_back(graph.ops[6].output);
  EXPECT_EQ(equalize_swish(graph, samples), 0U);
}

}  // namespace
}  // namespace wayside::optimizer
