// SPDX-License-Identifier: Apache-2.0
// Two thin layers compute what the layer computed, as well as their rank allows.
#include "optimizer/tune/low_rank.h"

#include <algorithm>
#include <cmath>

#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

using ir::Activation;
using ir::Op;
using ir::OpKind;

class LowRankTest : public Tune {
 protected:
  std::vector<float> normal(std::size_t count) {
    std::vector<float> out(count);
    for (float& value : out) value = std::normal_distribution<float>()(random);
    return out;
  }
  /// Weights [out,kh,kw,in] that are a sum of `rank` products of a function of (kh,in) and one of (kw,out).
  std::vector<float> separable(int out, int rows, int columns, int in, int rank) {
    std::vector<float> weight(static_cast<std::size_t>(out * rows * columns * in));
    for (int r = 0; r < rank; ++r) {
      const auto a = normal(static_cast<std::size_t>(rows * in)), b = normal(static_cast<std::size_t>(columns * out));
      std::size_t k = 0;
      for (int o = 0; o < out; ++o) {
        for (int y = 0; y < rows; ++y) {
          for (int x = 0; x < columns; ++x) {
            for (int c = 0; c < in; ++c)
              weight[k++] += a[static_cast<std::size_t>(y * in + c)] * b[static_cast<std::size_t>(x * out + o)];
          }
        }
      }
    }
    return weight;
  }
  void expect_close(const ir::Graph& a, const ir::Graph& b, double tolerance) {
    const auto input = inputs(a);
    const auto expected = ir::Interpreter(a).run(input), got = ir::Interpreter(b).run(input);
    ASSERT_EQ(expected[0].size(), got[0].size());
    for (std::size_t i = 0; i < got[0].size(); ++i)
      ASSERT_NEAR(got[0][i], expected[0][i], tolerance * (1 + std::abs(expected[0][i]))) << i;
  }
};

/// Odd strides, borders and dilation: each must land on its own half.
TEST_F(LowRankTest, FindsASeparableKernel) {
  const auto in = assembler.input("in", {1, 13, 17, 6});
  Op op{.kind = OpKind::conv, .inputs = {in}, .activation = Activation::relu};
  op.window = {.kernel_h = 3,
               .kernel_w = 5,
               .stride_h = 2,
               .stride_w = 3,
               .dilation_h = 2,
               .top = 1,
               .left = 2,
               .bottom = 0,
               .right = 1};
  op.weight = separable(8, 3, 5, 6, 2);
  op.bias = whole(8, 3);
  assembler.output(add(std::move(op), "out"));
  const auto graph = assembler.take();
  const auto thin = factorise(graph, {.energy = 0.9999});
  ASSERT_TRUE(thin) << thin.error().message;
  ASSERT_EQ(thin->layers.size(), 1U);
  EXPECT_EQ(thin->layers[0].form, Factorisation::spatial);
  EXPECT_EQ(thin->layers[0].rank, 2U);
  EXPECT_EQ(thin->layers[0].full_rank, 18U);
  ASSERT_EQ(thin->graph.ops.size(), 2U);
  EXPECT_EQ(thin->graph.tensors[thin->graph.ops[0].output].name, "out_rank");
  EXPECT_NEAR(thin->layers[0].kept_mac_share,
              static_cast<double>(ir::cost(thin->graph).mac_count) / static_cast<double>(ir::cost(graph).mac_count),
              1e-9);
  EXPECT_LT(thin->layers[0].kept_mac_share, 0.4);
  expect_close(graph, thin->graph, 1e-4);
}

TEST_F(LowRankTest, CutsPointwiseAndDenseLayers) {
  const auto in = assembler.input("in", {1, 4, 4, 16});
  Op op{.kind = OpKind::conv, .inputs = {in}, .weight = separable(24, 1, 1, 16, 3), .bias = whole(24, 3)};
  const auto wide = add(std::move(op), "wide");
  const auto flat = add({.kind = OpKind::reshape, .inputs = {wide}}, "flat", {1, 384});
  Op dense{
      .kind = OpKind::fully_connected, .inputs = {flat}, .weight = separable(20, 1, 1, 384, 4), .bias = whole(20, 3)};
  assembler.output(add(std::move(dense), "out"));
  const auto graph = assembler.take();
  const auto thin = factorise(graph, {.energy = 0.9999});
  ASSERT_TRUE(thin);
  ASSERT_EQ(thin->layers.size(), 2U);
  EXPECT_EQ(thin->layers[0].rank, 3U);
  EXPECT_EQ(thin->layers[1].rank, 4U);
  expect_close(graph, thin->graph, 1e-3);
}

/// The error of the weights is what the kept energy says.
TEST_F(LowRankTest, KeepsTheAskedEnergy) {
  const auto in = assembler.input("in", {1, 1, 1, 32});
  assembler.output(
      add({.kind = OpKind::conv, .inputs = {in}, .weight = normal(std::size_t{32} * 32), .bias = whole(32, 0)}, "out"));
  const auto graph = assembler.take();
  const auto thin = factorise(graph, {.energy = 0.6, .least_saving = 0.01});
  ASSERT_TRUE(thin);
  ASSERT_EQ(thin->layers.size(), 1U);
  const auto rank = thin->layers[0].rank;
  EXPECT_LT(rank, 16U);
  const auto &first = thin->graph.ops[0].weight, &second = thin->graph.ops[1].weight, &whole = graph.ops[0].weight;
  double error = 0, sum = 0;
  for (std::size_t o = 0; o < 32; ++o) {
    for (std::size_t c = 0; c < 32; ++c) {
      double product = 0;
      for (std::size_t r = 0; r < rank; ++r)
        product += static_cast<double>(second[o * rank + r]) * static_cast<double>(first[r * 32 + c]);
      const auto wanted = static_cast<double>(whole[o * 32 + c]);
      error += (product - wanted) * (product - wanted);
      sum += wanted * wanted;
    }
  }
  EXPECT_NEAR(error / sum, 1 - thin->layers[0].kept_energy, 1e-5);
  EXPECT_GE(thin->layers[0].kept_energy, 0.6);
  EXPECT_LT(thin->layers[0].kept_energy, 0.68);  // one value less would be too few
  const auto by_rank = factorise(graph, {.rank_share = 0.25});
  ASSERT_TRUE(by_rank);
  EXPECT_EQ(by_rank->layers[0].rank, 8U);
}

TEST_F(LowRankTest, LeavesWhatSavesNothing) {
  const auto in = assembler.input("in", {1, 4, 4, 8});
  const auto spread = layer(OpKind::depthwise_conv, in, 8, 3, "spread");
  Op op{.kind = OpKind::conv, .inputs = {spread}, .weight = normal(64), .bias = whole(8, 0)};
  assembler.output(add(std::move(op), "out"));
  const auto graph = assembler.take();
  const auto thin = factorise(graph, {.energy = 0.999});
  ASSERT_TRUE(thin);
  EXPECT_TRUE(thin->layers.empty());
  EXPECT_EQ(thin->graph.ops.size(), 2U);
  EXPECT_FALSE(factorise(graph, {.energy = 0}));
  EXPECT_FALSE(factorise(graph, {.energy = 0.5, .rank_share = 1.5}));
}

}  // namespace
}  // namespace wayside::optimizer
