// SPDX-License-Identifier: Apache-2.0
// Every layer of a small network agrees with the engine; a layer that computes something else is named, later ones not.
#include "optimizer/report/layer_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

class LayerCheck : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 100; ++i) {
      auto& sample = samples.emplace_back(16 * 16 * 3);
      for (std::size_t k = 0; k < sample.size(); ++k)
        sample[k] = static_cast<float>((k * 37 + static_cast<std::size_t>(i) * 11) % 101) / 100;
    }
    auto done = quantize_after_training(small_graph(3), samples, {0, 0}, {}, {});
    ASSERT_TRUE(done) << done.error().message;
    quantized = std::move(*done);
    samples.resize(2);
  }
  std::vector<LayerAgreement> compare() {
    const auto layers = compare_layers(quantized, samples, file);
    EXPECT_TRUE(layers) << layers.error().message;
    EXPECT_FALSE(fs::exists(file.string() + ".layers"));
    return layers.value_or(std::vector<LayerAgreement>());
  }

  fs::path file = fs::path(testing::TempDir()) / ("layer_check." + std::to_string(::getpid()) + ".tflite");
  std::vector<ir::Values> samples;
  Quantized quantized;
};

TEST_F(LayerCheck, EngineAndSimulationAgree) {
  const auto layers = compare();
  ASSERT_EQ(layers.size(), quantized.graph.ops.size());
  EXPECT_EQ(layers[0].tensor, "stem");
  for (const auto& layer : layers) {
    EXPECT_EQ(layer.alone, 1) << layer.tensor;
    EXPECT_LE(layer.most_steps, 1) << layer.tensor;
    EXPECT_GT(layer.together, 0.9) << layer.tensor;
  }
}

TEST_F(LayerCheck, NamesTheLayerThatDiffers) {
  const auto wrong = std::ranges::find(quantized.graph.ops, ir::OpKind::depthwise_conv, &ir::Op::kind);
  const auto index = static_cast<std::size_t>(wrong - quantized.graph.ops.begin());
  for (auto& weight : quantized.integer.weights[index].weight) weight = static_cast<std::int8_t>(-weight);
  const auto layers = compare();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i == index)
      EXPECT_LT(layers[i].alone, 0.9) << layers[i].tensor;
    else
      EXPECT_EQ(layers[i].alone, 1) << layers[i].tensor;
  }
  EXPECT_LT(layers.back().together, 0.9) << "what comes after inherits it";
}

TEST_F(LayerCheck, RefusesSamplesOfAnotherSize) {
  samples[0].pop_back();
  EXPECT_FALSE(compare_layers(quantized, samples, file));
}

}  // namespace
}  // namespace wayside::optimizer
