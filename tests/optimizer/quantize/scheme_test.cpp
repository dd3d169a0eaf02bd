// SPDX-License-Identifier: Apache-2.0
// Formats of weights in the simulation: their levels, and that rounding what is rounded changes nothing.
#include "optimizer/quantize/scheme.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "optimizer/ir/assembler.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {
namespace {

/// A fully connected layer on one number 1: its outputs are its weights.
ir::Graph weights_only(const std::vector<float>& weights) {
  ir::Assembler assembler;
  const auto in = assembler.input("in", {1, 1});
  ir::Op op{.kind = ir::OpKind::fully_connected, .inputs = {in}, .weight = weights};
  op.bias.resize(weights.size());
  const auto out = assembler.append(std::move(op), "out");
  EXPECT_TRUE(out);
  assembler.output(*out);
  return assembler.take();
}

/// As one output channel: x[i] selects weight i.
ir::Values as_one_channel(const std::vector<float>& weights, WeightFormat format) {
  ir::Assembler assembler;
  const auto count = static_cast<int>(weights.size());
  const auto in = assembler.input("in", {count, count});
  const auto out =
      assembler.append({.kind = ir::OpKind::fully_connected, .inputs = {in}, .weight = weights, .bias = {0}}, "out");
  EXPECT_TRUE(out);
  assembler.output(*out);
  ir::Interpreter interpreter(assembler.take());
  interpreter.simulate({.activations = {{0, 0}, {0, 0}}, .weights = {format}});
  ir::Values unit(weights.size() * weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) unit[i * weights.size() + i] = 1;
  return interpreter.run({unit})[0];
}

std::vector<float> ramp() {
  std::vector<float> weights;
  for (int i = -300; i <= 300; ++i) weights.push_back(static_cast<float>(i) * 0.01F);
  return weights;
}

TEST(Scheme, FormatsHaveTheirNumberOfLevels) {
  for (const auto& [format, levels] : {std::pair{WeightFormat::int8, 255U}, std::pair{WeightFormat::int4, 15U}}) {
    const auto rounded = as_one_channel(ramp(), format);
    EXPECT_EQ(std::set<float>(rounded.begin(), rounded.end()).size(), levels);
    const float step = weight_scale(3, format);
    for (std::size_t i = 0; i < rounded.size(); ++i) EXPECT_LE(std::abs(rounded[i] - ramp()[i]), 0.5001F * step);
    const auto again = as_one_channel(rounded, format);
    for (std::size_t i = 0; i < rounded.size(); ++i) EXPECT_FLOAT_EQ(again[i], rounded[i]);
  }
}

TEST(Scheme, Float16KeepsElevenBits) {
  const auto rounded = as_one_channel({1.0F, 1.0F + 1.0F / 2048, 1.0F + 1.0F / 1024, 3.14159F}, WeightFormat::float16);
  EXPECT_EQ(rounded[1], 1.0F) << "a tie goes to the even one";
  EXPECT_EQ(rounded[2], 1.0F + 1.0F / 1024);
  EXPECT_EQ(rounded[3], 3.140625F);
}

TEST(Scheme, ChannelsHaveScalesOfTheirOwnAndFloatStays) {
  ir::Interpreter interpreter(weights_only({1000, 0.001F}));
  interpreter.simulate({.activations = {{0, 0}, {0, 0}}, .weights = {}});
  EXPECT_FLOAT_EQ(interpreter.run({{1}})[0][1], 0.001F);
  interpreter.simulate({.activations = {{0, 0}, {0.5F, 0}}, .weights = {WeightFormat::float32}});
  EXPECT_EQ(interpreter.run({{0.04F}})[0][0], 40);
  interpreter.simulate({});
  EXPECT_FLOAT_EQ(interpreter.run({{0.04321F}})[0][0], 43.21F);
}

}  // namespace
}  // namespace wayside::optimizer
