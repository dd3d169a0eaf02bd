// SPDX-License-Identifier: Apache-2.0
// Real models: half of the work goes, and the smaller graph computes what the masked one does.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <print>

#include "optimizer/import/onnx_import.h"
#include "optimizer/passes/passes.h"
#include "optimizer/tune/prune.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

class PruneModels : public testing::TestWithParam<const char*> {};

TEST_P(PruneModels, ComputesWhatTheMaskedComputes) {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const fs::path path = fs::path(shared == nullptr ? "../shared" : shared) / "data/models/onnx" / GetParam();
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not there";
  auto graph = import_onnx(path);
  ASSERT_TRUE(graph) << graph.error().message;
  passes::simplify(*graph, [](const ir::Graph& constants) { return ir::Interpreter(constants).run({}); });
  *graph = passes::split_head(*graph).body;
  const auto pruned = prune_channels(*graph, weight_scores(*graph, Importance::l2), {.kept_mac_share = 0.5});
  ASSERT_TRUE(pruned) << pruned.error().message;
  std::println("{}: {:.3f} of the work, {} of {} weights, {} channels gone", GetParam(), pruned->kept_mac_share,
               ir::cost(pruned->graph).weight_count, ir::cost(*graph).weight_count, pruned->removed);
  EXPECT_LE(pruned->kept_mac_share, 0.5);
  std::mt19937 random(3);
  std::vector<ir::Values> input{ir::Values(ir::element_count(graph->tensors[graph->inputs[0]].shape))};
  for (float& value : input[0]) value = std::uniform_real_distribution<float>(0, 1)(random);
  const auto expected = ir::Interpreter(pruned->masked).run(input), got = ir::Interpreter(pruned->graph).run(input);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].size(), expected[i].size());
    float largest = 1e-3F, difference = 0;
    for (std::size_t k = 0; k < got[i].size(); ++k) {
      largest = std::max(largest, std::abs(expected[i][k]));
      difference = std::max(difference, std::abs(got[i][k] - expected[i][k]));
    }
    EXPECT_LE(difference / largest, 1e-4) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PruneModels,
                         testing::Values("yunet_n_320_320.onnx", "version-slim-320_simplified.onnx", "yolox_nano.onnx",
                                         "FastestDet.onnx", "lprnet_cn.onnx", "person-detection-retail-0013.onnx",
                                         "face-reidentification-retail-0095.onnx", "faceapi_expression.onnx",
                                         "vehicle-attributes-recognition-barrier-0039.onnx",
                                         "action_lzq_framewise.onnx"),
                         [](const auto& entry) {
                           std::string name = fs::path(entry.param).stem().string();
                           std::ranges::replace_if(
                               name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
                           return name;
                         });

}  // namespace
}  // namespace wayside::optimizer
