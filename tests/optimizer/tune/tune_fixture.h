// SPDX-License-Identifier: Apache-2.0
// Graphs of small whole numbers: sums of them are exact in float, whatever their order.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/ir/assembler.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

class Tune : public testing::Test {
 protected:
  ir::TensorId add(ir::Op op, const std::string& name, const ir::Shape& wanted = {}) {
    auto id = assembler.append(std::move(op), name, wanted);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  /// -limit..limit
  std::vector<float> whole(std::size_t count, int limit) {
    std::vector<float> out(count);
    for (float& value : out) value = static_cast<float>(std::uniform_int_distribution<int>(-limit, limit)(random));
    return out;
  }
  ir::TensorId layer(ir::OpKind kind, ir::TensorId in, int out, int kernel, const std::string& name,
                     ir::Activation activation = ir::Activation::relu6) {
    const ir::Shape& shape = assembler.shape(in);
    const int border = kernel / 2, inputs = kind == ir::OpKind::depthwise_conv ? 1 : shape.back();
    ir::Op op{.kind = kind, .inputs = {in}, .activation = activation};
    op.window = {
        .kernel_h = kernel, .kernel_w = kernel, .top = border, .left = border, .bottom = border, .right = border};
    op.weight = whole(static_cast<std::size_t>(out * kernel * kernel * inputs), 2);
    op.bias = whole(static_cast<std::size_t>(out), 2);
    return add(std::move(op), name);
  }
  ir::TensorId conv(ir::TensorId in, int out, int kernel, const std::string& name,
                    ir::Activation activation = ir::Activation::relu6) {
    return layer(ir::OpKind::conv, in, out, kernel, name, activation);
  }
  ir::TensorId constant(ir::Shape shape) {
    auto values = whole(ir::element_count(shape), 2);
    return assembler.constant("constant", std::move(shape), std::move(values));
  }
  std::vector<ir::Values> inputs(const ir::Graph& graph) {
    std::vector<ir::Values> out;
    for (const auto id : graph.inputs) out.push_back(whole(ir::element_count(graph.tensors[id].shape), 3));
    return out;
  }

  ir::Assembler assembler;
  std::mt19937 random{7};
};

}  // namespace wayside::optimizer
