// SPDX-License-Identifier: Apache-2.0
// Real models: the float interpreter gives what ONNX Runtime gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <print>
#include <random>
#include <vector>

#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/passes/passes.h"
#include "tests/optimizer/onnx_order.h"
#include "tests/optimizer/onnx_reference.h"

namespace wayside::optimizer {
namespace {

class OnnxRuntime : public testing::TestWithParam<std::filesystem::path> {};

/// The largest difference, in parts of the largest value of its output (at least kLeast: of probabilities that are all
/// next to nothing, ONNX Runtime's own sigmoid has few digits).
double worst_error(const ir::Graph& graph, const std::vector<ir::Values>& got,
                   const std::vector<std::vector<float>>& expected) {
  constexpr float kLeast = 1e-2F;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto want = to_graph_order(expected[i], graph.tensors[graph.outputs[i]].shape);
    if (got[i].size() != want.size()) return 1;
    float difference = 0, largest = kLeast;
    for (std::size_t k = 0; k < want.size(); ++k) {
      difference = std::max(difference, std::abs(got[i][k] - want[k]));
      largest = std::max(largest, std::abs(want[k]));
    }
    worst = std::max(worst, static_cast<double>(difference / largest));
  }
  return worst;
}

std::ptrdiff_t count(const ir::Graph& graph, ir::OpKind kind) {
  return std::ranges::count(graph.ops, kind, &ir::Op::kind);
}

/// Within 1e-4 as imported, after the passes, and split into body and head.
TEST_P(OnnxRuntime, InterpreterAgrees) {
  const auto graph = import_onnx(GetParam());
  ASSERT_TRUE(graph) << graph.error().message;
  std::mt19937 random(5);
  std::vector<std::vector<float>> onnx_inputs, inputs;
  for (const auto id : graph->inputs) {
    onnx_inputs.push_back(random_input(graph->tensors[id].shape, random));
    inputs.push_back(to_graph_order(onnx_inputs.back(), graph->tensors[id].shape));
  }
  auto session = open_reference(GetParam());
  const auto expected = run_reference(session, onnx_inputs);
  const double imported = worst_error(*graph, ir::Interpreter(*graph).run(inputs), expected);
  EXPECT_LE(imported, 1e-4);
  ir::Graph simple = *graph;
  passes::simplify(simple, [](const ir::Graph& constants) { return ir::Interpreter(constants).run({}); });
  const double simplified = worst_error(simple, ir::Interpreter(simple).run(inputs), expected);
  EXPECT_LE(simplified, 1e-4);
  const auto split = passes::split_head(simple);
  const auto between = ir::Interpreter(split.body).run(inputs);
  EXPECT_LE(worst_error(simple, ir::Interpreter(split.tail).run(between), expected), 1e-4);
  std::println("{}: {} operators ({} transposes), relative error {:.1e}; simplified: {} ({}), {:.1e}; in the head: {}",
               GetParam().filename().string(), graph->ops.size(), count(*graph, ir::OpKind::transpose), imported,
               simple.ops.size(), count(simple, ir::OpKind::transpose), simplified, split.tail.ops.size());
  EXPECT_LE(simple.ops.size(), graph->ops.size());
}

INSTANTIATE_TEST_SUITE_P(Models, OnnxRuntime, testing::ValuesIn(onnx_models()),
                         [](const auto& entry) { return test_name(entry.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxRuntime);

}  // namespace
}  // namespace wayside::optimizer
