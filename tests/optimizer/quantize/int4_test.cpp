// SPDX-License-Identifier: Apache-2.0
// Clipping for four bits, and the choice of layers.
#include "optimizer/quantize/int4.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "optimizer/ir/assembler.h"
#include "optimizer/quantize/scales.h"

namespace wayside::optimizer {
namespace {

double error_of(const ir::Op& rounded, const ir::Op& exact) {
  float largest = 0;
  for (const float w : rounded.weight) largest = std::max(largest, std::abs(w));
  const float scale = weight_scale(largest, WeightFormat::int4);
  double sum = 0;
  for (std::size_t i = 0; i < exact.weight.size(); ++i) {
    const float error = scale * std::nearbyint(rounded.weight[i] / scale) - exact.weight[i];
    sum += static_cast<double>(error) * static_cast<double>(error);
  }
  return sum;
}

TEST(Int4, ClippingLowersTheError) {
  std::mt19937 random(3);
  std::normal_distribution<float> draw(0, 1);
  ir::Op exact{.kind = ir::OpKind::fully_connected, .weight = std::vector<float>(1000), .bias = {0}};
  for (float& w : exact.weight) w = draw(random);
  ir::Op clipped = exact;
  clip_for_int4(clipped);
  EXPECT_LT(error_of(clipped, exact), 0.8 * error_of(exact, exact));
  float end = 0;
  for (const float w : clipped.weight) end = std::max(end, std::abs(w));
  for (std::size_t i = 0; i < exact.weight.size(); ++i)
    ASSERT_EQ(clipped.weight[i], std::clamp(exact.weight[i], -end, end)) << "what lies inside stays";
}

/// Two layers one after the other; the first one's weights are whole numbers up to 7, so that it loses nothing.
ir::Graph two_layers() {
  ir::Assembler assembler;
  std::mt19937 random(4);
  std::normal_distribution<float> draw(0, 1);
  auto id = assembler.input("in", {1, 8});
  for (const char* name : {"whole", "any"}) {
    ir::Op op{.kind = ir::OpKind::fully_connected, .inputs = {id}};
    op.bias.resize(8);
    for (int i = 0; i < 64; ++i) {
      const int whole = i % 8 == 0 ? 7 : i % 15 - 7;
      op.weight.push_back(name[0] == 'w' ? static_cast<float>(whole) : draw(random));
    }
    id = *assembler.append(std::move(op), name);
  }
  assembler.output(id);
  return assembler.take();
}

TEST(Int4, LayersThatLoseNothingComeFirst) {
  const ir::Graph graph = two_layers();
  const auto sensitivity = int4_sensitivity(graph, {ir::Values{1, -2, 3, -4, 5, -6, 7, -8}});
  ASSERT_EQ(sensitivity.size(), 2U);
  EXPECT_GT(sensitivity[0], 100) << "on the grid";
  EXPECT_LT(sensitivity[1], 40);
  EXPECT_GT(sensitivity[1], 5);
  using enum WeightFormat;
  EXPECT_EQ(choose_int4(graph, sensitivity, 0.4), (std::vector{int8, int8}));
  EXPECT_EQ(choose_int4(graph, sensitivity, 0.5), (std::vector{int4, int8}));
  EXPECT_EQ(choose_int4(graph, sensitivity, 1), (std::vector{int4, int4}));
}

TEST(Int4, QuantizerKeepsToSevenLevelsAndRefusesFloat) {
  const ir::Graph graph = two_layers();
  const std::vector<TensorQuantization> scales(graph.tensors.size(), {0.1F, 0});
  const auto done = quantize(graph, scales, std::vector{WeightFormat::int8, WeightFormat::int4});
  ASSERT_TRUE(done) << done.error().message;
  const auto most = [&](std::size_t op) { return *std::ranges::max_element(done->weights[op].weight); };
  EXPECT_EQ(most(0), 127);
  EXPECT_EQ(most(1), 7);
  EXPECT_FALSE(quantize(graph, scales, std::vector{WeightFormat::int8, WeightFormat::float16}));
  EXPECT_FALSE(quantize(graph, scales, std::vector{WeightFormat::int8}));
}

}  // namespace
}  // namespace wayside::optimizer
