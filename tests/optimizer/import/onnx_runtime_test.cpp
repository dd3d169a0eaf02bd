// SPDX-License-Identifier: Apache-2.0
// Real models: the float interpreter gives what ONNX Runtime gives.
#include <gtest/gtest.h>
#include <onnxruntime/onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <print>
#include <random>
#include <string>
#include <vector>

#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/passes/passes.h"
#include "tests/optimizer/onnx_order.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> models() {
  std::vector<fs::path> found;
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const fs::path folder = fs::path(shared == nullptr ? "../shared" : shared) / "data/models/onnx";
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

/// Inputs and outputs in ONNX's order.
std::vector<std::vector<float>> run_reference(const fs::path& path, const std::vector<std::vector<float>>& inputs) {
  static const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "test");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  Ort::Session session(env, path.c_str(), options);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::AllocatorWithDefaultOptions allocator;
  std::vector<Ort::Value> values;
  std::vector<std::string> in, out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto shape = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    for (auto& dim : shape) dim = std::max<std::int64_t>(dim, 1);
    values.push_back(Ort::Value::CreateTensor<float>(memory, const_cast<float*>(inputs[i].data()), inputs[i].size(),
                                                     shape.data(), shape.size()));
    in.emplace_back(session.GetInputNameAllocated(i, allocator).get());
  }
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i)
    out.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
  std::vector<const char*> in_names, out_names;
  for (const auto& name : in) in_names.push_back(name.c_str());
  for (const auto& name : out) out_names.push_back(name.c_str());
  auto results = session.Run({}, in_names.data(), values.data(), values.size(), out_names.data(), out_names.size());
  std::vector<std::vector<float>> tensors;
  for (auto& result : results) {
    const auto* data = result.GetTensorMutableData<float>();
    tensors.emplace_back(data, data + result.GetTensorTypeAndShapeInfo().GetElementCount());
  }
  return tensors;
}

/// Pictures: smooth random waves of 0..255, as networks see them. Others: 0..1.
std::vector<float> random_input(const ir::Shape& s, std::mt19937& random) {
  std::uniform_real_distribution<float> draw(0, 1);
  std::vector<float> out(ir::element_count(s));
  const bool picture = s.size() == 4;
  const float fx = 0.02F + 0.1F * draw(random), fy = 0.02F + 0.1F * draw(random);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float noise = draw(random);
    if (!picture) {
      out[i] = noise;
      continue;
    }
    const auto columns = static_cast<std::size_t>(s[2]), rows = static_cast<std::size_t>(s[1]);
    const auto x = static_cast<float>(i % columns), y = static_cast<float>(i / columns % rows);
    out[i] = 100 + 70 * std::sin(x * fx) + 60 * std::cos(y * fy) + 25 * noise;
  }
  return out;
}

class OnnxRuntime : public testing::TestWithParam<fs::path> {};

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
  const auto expected = run_reference(GetParam(), onnx_inputs);
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

INSTANTIATE_TEST_SUITE_P(Models, OnnxRuntime, testing::ValuesIn(models()), [](const auto& entry) {
  std::string name = entry.param.stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxRuntime);

}  // namespace
}  // namespace wayside::optimizer
