// SPDX-License-Identifier: Apache-2.0
// Padding arithmetic, folding of batch norm, cost.
#include "optimizer/ir/graph.h"

#include <gtest/gtest.h>

namespace wayside::optimizer::ir {
namespace {

TEST(SamePadding, MatchesTheFormula) {
  EXPECT_EQ(same_padding(320, 3, 2).before, 0);
  EXPECT_EQ(same_padding(320, 3, 2).after, 1);
  EXPECT_EQ(same_padding(321, 3, 2).before, 1);
  EXPECT_EQ(same_padding(10, 3, 1).before, 1);
  EXPECT_EQ(same_padding(10, 1, 1).after, 0);
}

TEST(FoldBatchNorm, ScalesEachChannelInBothLayouts) {
  Builder builder;
  const auto in = builder.input("in", {1, 4, 4, 2});
  builder.output(
      builder.depthwise(builder.conv(in, "conv", 2, 1, 1, Activation::none, true), "dw", 3, 1, Activation::none, true));
  Graph graph = builder.take();
  const BatchNorm norm{.gamma = {2, 3},
                       .beta = {0.5F, -0.5F},
                       .mean = {1, 2},
                       .variance = {4 - kBatchNormEpsilon, 1 - kBatchNormEpsilon}};
  for (auto& op : graph.ops) {
    for (float& w : op.weight) w = 1;
    op.norm = norm;
  }
  fold_batch_norm(graph);
  for (const auto& op : graph.ops) {  // factors 2/2 and 3/1
    EXPECT_TRUE(op.norm.empty());
    EXPECT_NEAR(op.bias[0], (0 - 1) * 1 + 0.5, 1e-5);
    EXPECT_NEAR(op.bias[1], (0 - 2) * 3 - 0.5, 1e-5);
  }
  EXPECT_NEAR(graph.ops[0].weight[2], 3, 1e-5);  // [out,1,1,in]: channel 1 starts at 2
  EXPECT_NEAR(graph.ops[1].weight[2], 1, 1e-5);  // [1,3,3,c]: channels alternate
  EXPECT_NEAR(graph.ops[1].weight[3], 3, 1e-5);
}

TEST(Cost, CountsConvolutions) {
  Builder builder;
  builder.output(builder.conv(builder.input("in", {1, 8, 8, 3}), "conv", 16, 3, 2, Activation::relu6, false));
  const Cost sum = cost(builder.take());
  EXPECT_EQ(sum.weight_count, 3U * 3 * 3 * 16);
  EXPECT_EQ(sum.mac_count, 4U * 4 * 3 * 3 * 3 * 16);
}

}  // namespace
}  // namespace wayside::optimizer::ir
