// SPDX-License-Identifier: Apache-2.0
// Equalised networks compute the same; channels before a depthwise layer get one range.
#include "optimizer/quantize/equalize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "optimizer/ir/assembler.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;
using ir::TensorId;

class Equalize : public testing::Test {
 protected:
  TensorId add(Op op, const std::string& name, const ir::Shape& wanted = {}) {
    auto id = assembler.append(std::move(op), name, wanted);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  float draw() { return std::uniform_real_distribution<float>(-1, 1)(random); }
  /// The output channels' weights and biases come in sizes from 1 to 1e-4.
  TensorId layer(OpKind kind, TensorId in, std::size_t out, int kernel, ir::Activation activation,
                 const std::string& name) {
    Op op{.kind = kind, .inputs = {in}, .activation = activation};
    op.window = {.kernel_h = kernel, .kernel_w = kernel};
    const auto channels = kind == OpKind::depthwise_conv ? 1U : static_cast<unsigned>(assembler.shape(in).back());
    op.weight.resize(out * channels * static_cast<unsigned>(kernel * kernel));
    op.bias.resize(out);
    const std::size_t inputs = static_cast<std::size_t>(assembler.shape(in).back());
    const auto size = [](std::size_t o) { return std::pow(10.0F, -static_cast<float>(o % 5)); };
    for (std::size_t o = 0; o < out; ++o) op.bias[o] = size(o) * draw();
    for (std::size_t k = 0; k < op.weight.size(); ++k) op.weight[k] = size(weight_place(op, inputs, k).out) * draw();
    return add(std::move(op), name);
  }
  std::vector<ir::Values> samples() {
    std::vector<ir::Values> out(8, ir::Values(6 * 6 * 3));
    for (auto& sample : out) {
      for (float& value : sample) value = draw();
    }
    return out;
  }
  static std::vector<float> largest(const ir::Graph& graph, TensorId tensor, const std::vector<ir::Values>& samples) {
    std::vector<float> out(static_cast<std::size_t>(graph.tensors[tensor].shape.back()));
    ir::Interpreter interpreter(graph);
    interpreter.observe([&](ir::TensorId id, std::span<const float> values) {
      for (std::size_t i = 0; id == tensor && i < values.size(); ++i)
        out[i % out.size()] = std::max(out[i % out.size()], std::abs(values[i]));
    });
    for (const auto& sample : samples) static_cast<void>(interpreter.run({sample}));
    return out;
  }

  ir::Assembler assembler;
  std::mt19937 random{5};
};

TEST_F(Equalize, ChannelsBeforeADepthwiseLayerGetOneRange) {
  const auto in = assembler.input("in", {1, 6, 6, 3});
  const auto first = layer(OpKind::conv, in, 10, 1, ir::Activation::none, "first");
  const auto leaky = add({.kind = OpKind::leaky_relu, .inputs = {first}, .alpha = 0.2F}, "leaky");
  const auto padded = add({.kind = OpKind::pad, .inputs = {leaky}, .axes = {0, 0, 1, 1, 1, 1, 0, 0}}, "padded");
  const auto spread = layer(OpKind::depthwise_conv, padded, 10, 3, ir::Activation::none, "spread");
  assembler.output(layer(OpKind::conv, spread, 4, 1, ir::Activation::none, "last"));
  const ir::Graph graph = assembler.take();
  const auto set = samples();
  auto equal = graph;
  ASSERT_EQ(equalize_layers(equal, set), 2U);
  for (const auto& sample : set) {
    const auto a = ir::Interpreter(graph).run({sample})[0], b = ir::Interpreter(equal).run({sample})[0];
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5F + 1e-4F * std::abs(a[i]));
  }
  const auto before = largest(graph, first, set), after = largest(equal, first, set);
  const auto [least, most] = std::ranges::minmax(before);
  ASSERT_GT(most, 5000 * least) << "or there is nothing to equalise";
  constexpr float kMostChange = 256;
  for (std::size_t c = 0; c < after.size(); ++c)
    EXPECT_NEAR(after[c], std::min(most, kMostChange * before[c]), 1e-3F * most) << c;
  // The last layer's weights have one scale for all ten channels: what it reads is only brought nearer.
  const auto spread_before = largest(graph, spread, set), spread_after = largest(equal, spread, set);
  const auto ratio = [](const std::vector<float>& range) {
    const auto [low, high] = std::ranges::minmax(range);
    return high / std::max(low, 1e-9F);
  };
  EXPECT_LT(ratio(spread_after), ratio(spread_before) / 10);
}

TEST_F(Equalize, WhatDoesNotScaleStays) {
  const auto in = assembler.input("in", {1, 6, 6, 3});
  const auto capped = layer(OpKind::conv, in, 6, 1, ir::Activation::relu6, "capped");
  const auto second = layer(OpKind::conv, capped, 6, 1, ir::Activation::none, "second");
  const auto gate = add({.kind = OpKind::logistic, .inputs = {second}}, "gate");
  const auto third = layer(OpKind::conv, gate, 6, 1, ir::Activation::none, "third");
  const auto padded =
      add({.kind = OpKind::pad, .inputs = {third}, .axes = {0, 0, 1, 1, 1, 1, 0, 0}, .alpha = 1}, "ones");
  assembler.output(layer(OpKind::depthwise_conv, padded, 6, 3, ir::Activation::none, "last"));
  assembler.output(layer(OpKind::conv, third, 2, 1, ir::Activation::none, "other reader"));
  const ir::Graph graph = assembler.take();
  auto equal = graph;
  EXPECT_EQ(equalize_layers(equal, samples()), 0U);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) EXPECT_EQ(equal.ops[i].weight, graph.ops[i].weight) << i;
}

}  // namespace
}  // namespace wayside::optimizer
