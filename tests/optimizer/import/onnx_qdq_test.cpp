// SPDX-License-Identifier: Apache-2.0
// A QDQ model (made by tools/make_onnx_node_tests, results by ONNX's reference): weights in real numbers, ranges kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "optimizer/data/picture.h"
#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/passes/passes.h"
#include "tests/optimizer/import/stated_scheme.h"
#include "tests/optimizer/onnx_order.h"

namespace wayside::optimizer {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(WAYSIDE_NODE_TESTS) / "qdq_model";

std::vector<float> floats_of(const char* name) {
  const auto bytes = read_bytes(kFolder / name);
  std::vector<float> out(bytes ? bytes->size() / sizeof(float) : 0);
  if (!out.empty()) std::memcpy(out.data(), bytes->data(), out.size() * sizeof(float));
  return out;
}

const ir::Tensor* find(const ir::Graph& graph, const std::string& name) {
  const auto found = std::ranges::find(graph.tensors, name, &ir::Tensor::name);
  return found == graph.tensors.end() ? nullptr : &*found;
}

TEST(OnnxQdq, GivesWhatTheReferenceGives) {
  auto graph = import_onnx(kFolder / "model.onnx");
  ASSERT_TRUE(graph) << graph.error().message;
  const auto* input = find(*graph, "x");
  ASSERT_NE(input, nullptr);
  EXPECT_FLOAT_EQ(input->low, -1);
  EXPECT_FLOAT_EQ(input->high, -1 + 255 * 0.0078125F);
  const auto x = to_graph_order(floats_of("input_0.f32"), input->shape);
  const auto& output = graph->tensors[graph->outputs[0]];
  EXPECT_EQ(output.name, "y");
  EXPECT_GT(output.high, output.low);
  const auto wanted = to_graph_order(floats_of("output_0.f32"), output.shape);
  const float step = (output.high - output.low) / 255;
  ir::Interpreter interpreter(*graph);
  const auto exact = interpreter.run({x})[0];
  interpreter.simulate(stated_scheme(*graph));
  const auto rounded = interpreter.run({x})[0];
  ASSERT_EQ(rounded.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(rounded[i], wanted[i], 1.01F * step) << i;
    EXPECT_NEAR(exact[i], wanted[i], 6 * step) << i;
  }
}

/// The relu that the ranges stand for (the file has none) ends in the convolution; nothing else is left of QDQ.
TEST(OnnxQdq, RangesThatBeginAtZeroAreRelus) {
  auto graph = import_onnx(kFolder / "model.onnx");
  ASSERT_TRUE(graph) << graph.error().message;
  passes::simplify(*graph, [](const ir::Graph& constants) { return ir::Interpreter(constants).run({}); });
  ASSERT_FALSE(graph->ops.empty());
  EXPECT_EQ(graph->ops[0].kind, ir::OpKind::conv);
  EXPECT_EQ(graph->ops[0].activation, ir::Activation::relu);
  const auto& between = graph->tensors[graph->ops[0].output];
  EXPECT_EQ(between.low, 0);
  EXPECT_GT(between.high, 0);
  EXPECT_TRUE(std::ranges::none_of(graph->ops, [](const ir::Op& op) { return op.kind == ir::OpKind::relu; }));
}

TEST(OnnxQdq, OtherQuantizedOperatorsAreNamed) {
  const auto bytes = read_bytes(kFolder / "model.onnx");
  ASSERT_TRUE(bytes);
  std::string text(bytes->begin(), bytes->end());
  for (auto at = text.find("Gemm"); at != std::string::npos; at = text.find("Gemm", at + 1))
    text.replace(at, 4, "GELU");
  const auto graph = import_onnx(std::vector<std::uint8_t>(text.begin(), text.end()));
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, base::Code::unsupported);
}

}  // namespace
}  // namespace wayside::optimizer
