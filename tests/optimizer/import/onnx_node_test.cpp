// SPDX-License-Identifier: Apache-2.0
// ONNX's own node tests (made by tools/make_onnx_node_tests at build time) through import and the float interpreter.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <map>
#include <print>
#include <string>
#include <vector>

#include "optimizer/data/picture.h"
#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/interpreter.h"
#include "tests/optimizer/onnx_order.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

std::vector<float> read_floats(const fs::path& path) {
  const auto bytes = read_bytes(path);
  std::vector<float> out(bytes ? bytes->size() / sizeof(float) : 0);
  if (!out.empty()) std::memcpy(out.data(), bytes->data(), out.size() * sizeof(float));
  return out;
}

/// Empty when the outputs are right.
std::string compare(const ir::Graph& graph, const fs::path& folder) {
  std::vector<ir::Values> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const auto& shape = graph.tensors[graph.inputs[i]].shape;
    const auto values = read_floats(folder / std::format("input_{}.f32", i));
    if (values.size() != ir::element_count(shape)) return "input size";
    inputs.push_back(to_graph_order(values, shape));
  }
  const auto outputs = ir::Interpreter(graph).run(inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto want =
        to_graph_order(read_floats(folder / std::format("output_{}.f32", i)), graph.tensors[graph.outputs[i]].shape);
    if (outputs[i].size() != want.size()) return std::format("output {}: size", i);
    for (std::size_t k = 0; k < want.size(); ++k) {
      const double error = std::abs(outputs[i][k] - want[k]) / std::max(std::abs(want[k]), 1e-2F);
      if (!(error <= 1e-4)) return std::format("output {}, element {}: {} instead of {}", i, k, outputs[i][k], want[k]);
    }
  }
  return {};
}

TEST(OnnxNodeTests, SupportedOperatorsPass) {
  const fs::path root = WAYSIDE_NODE_TESTS;
  std::ifstream index(root / "index.txt");
  ASSERT_TRUE(index) << "the build makes the cases: " << root;
  std::map<std::string, int> passed, skipped;
  std::string op, name;
  while (index >> op >> name) {
    const auto graph = import_onnx(root / name / "model.onnx");
    if (!graph) {
      // Only forms that the importer says it has not may be skipped.
      EXPECT_EQ(graph.error().code, base::Code::unsupported) << name << ": " << graph.error().message;
      ++skipped[op];
      std::println("SKIPPED {}: {}", name, graph.error().message);
      continue;
    }
    const std::string problem = compare(*graph, root / name);
    EXPECT_EQ(problem, "") << name;
    ++passed[op];
  }
  int pass_count = 0, skip_count = 0;
  for (const auto& [key, count] : passed) pass_count += count;
  for (const auto& [key, count] : skipped) skip_count += count;
  std::println("node tests: {} passed in {} operators, {} skipped", pass_count, passed.size(), skip_count);
  EXPECT_GE(pass_count, 150);
  EXPECT_GE(passed.size(), 40U);
}

}  // namespace
}  // namespace wayside::optimizer
