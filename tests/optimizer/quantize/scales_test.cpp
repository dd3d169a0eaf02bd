// SPDX-License-Identifier: Apache-2.0
// Ranges, scales and rounding.
#include "optimizer/quantize/scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

TEST(Scales, KeepsZeroAndTheOperatorsRules) {
  ir::Graph graph = small_graph(1);
  ir::append_logistic(graph, graph.outputs[1]);
  std::vector<Range> ranges(graph.tensors.size(), Range{-3, 9});
  const auto scales = scales_for(graph, ranges, {1.0F / 255, -128});
  for (const auto& op : graph.ops) {
    const auto& q = scales[op.output];
    EXPECT_GE(q.zero_point, -128);
    EXPECT_LE(q.zero_point, 127);
    if (op.kind == ir::OpKind::resize_nearest) {
      EXPECT_FLOAT_EQ(q.scale, scales[op.inputs[0]].scale);
    }
    if (op.kind == ir::OpKind::logistic) {
      EXPECT_FLOAT_EQ(q.scale, 1.0F / 256);
    }
    if (op.activation == ir::Activation::relu6) {
      EXPECT_FLOAT_EQ(q.scale, 6.0F / 255);
    }
    if (op.activation == ir::Activation::relu) {
      EXPECT_EQ(q.zero_point, -128);
    }
  }
}

TEST(Quantize, WeightsComeBackWithinHalfAStep) {
  const ir::Graph graph = small_graph(2);
  const std::vector<TensorQuantization> scales(graph.tensors.size(), TensorQuantization{0.05F, 0});
  const auto quantized = quantize(graph, scales);
  ASSERT_TRUE(quantized) << quantized.error().message;
  const auto& op = graph.ops[1];  // depthwise: channels alternate
  const auto& weights = quantized->weights[1];
  for (std::size_t i = 0; i < op.weight.size(); ++i) {
    const float scale = weights.scale[i % weights.scale.size()];
    EXPECT_NEAR(scale * static_cast<float>(weights.weight[i]), op.weight[i], scale * 0.501F);
  }
  for (std::size_t o = 0; o < op.bias.size(); ++o) {
    EXPECT_NEAR(0.05F * weights.scale[o] * static_cast<float>(weights.bias[o]), op.bias[o], 0.05F * weights.scale[o]);
  }
}

/// As files of other tools have it: a channel that gives a constant. Its bias in steps of the least weight scale would
/// not fit 32 bits.
TEST(Quantize, AChannelWithoutWeightsKeepsItsBias) {
  ir::Graph graph = small_graph(2);
  auto& op = graph.ops[2];
  for (std::size_t i = 0; i < op.weight.size() / op.bias.size(); ++i) op.weight[i] = 0;
  op.bias[0] = -300;
  const auto quantized =
      quantize(graph, std::vector<TensorQuantization>(graph.tensors.size(), TensorQuantization{0.05F, 0}));
  ASSERT_TRUE(quantized) << quantized.error().message;
  const auto& weights = quantized->weights[2];
  EXPECT_NEAR(0.05 * static_cast<double>(weights.scale[0]) * weights.bias[0], -300, 1e-3);
}

TEST(Quantize, RefusesAnUnfoldedNorm) {
  ir::Builder builder;
  builder.output(builder.conv(builder.input("in", {1, 4, 4, 1}), "conv", 2, 1, 1, ir::Activation::none, true));
  const ir::Graph graph = builder.take();
  const auto quantized = quantize(graph, std::vector<TensorQuantization>(graph.tensors.size()));
  ASSERT_FALSE(quantized);
  EXPECT_NE(quantized.error().message.find("conv"), std::string::npos);
}

}  // namespace
}  // namespace wayside::optimizer
