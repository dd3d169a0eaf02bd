// SPDX-License-Identifier: Apache-2.0
// A small detector with random weights, end to end: fold, calibrate, quantise, write; the engine agrees with the float
// network within the rounding of INT8, and training can be stopped and resumed.
#include "optimizer/detector/deploy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>

#include "optimizer/detector/predictor.h"
#include "optimizer/tflite/writer.h"
#include "tests/optimizer/own_path.h"

namespace wayside::optimizer {
namespace {

NetworkOptions tiny() {
  return {.width_px = 64,
          .height_px = 64,
          .class_count = 2,
          .stem_channels = 8,
          .stages = {{{8, 1}, {16, 1}, {16, 1}, {16, 1}}},
          .neck_channels = 16};
}

/// Noise with a bright square of random place and size, labelled.
Folder squares(std::size_t count) {
  Folder folder;
  Random random(7);
  for (std::size_t i = 0; i < count; ++i) {
    Sample sample{.name = std::to_string(i), .picture = Picture(64, 64), .boxes = {}};
    for (auto& byte : sample.picture.rgb) byte = static_cast<std::uint8_t>(random() % 64);
    const int side = 12 + static_cast<int>(random() % 24), x0 = static_cast<int>(random() % 28),
              y0 = static_cast<int>(random() % 28);
    for (int y = y0; y < y0 + side; ++y) std::fill_n(sample.picture.row(y) + 3 * x0, 3 * side, std::uint8_t{230});
    sample.boxes.push_back({static_cast<float>(x0), static_cast<float>(y0), static_cast<float>(x0 + side),
                            static_cast<float>(y0 + side), 1});
    folder.samples.push_back(std::move(sample));
  }
  return folder;
}

Network random_network() {
  torch::manual_seed(5);
  auto network = make_network(tiny());
  ir::TorchModel(network->graph).write_weights(network->graph);
  set_initial_biases(*network);
  return *network;
}

TEST(Deploy, EngineAgreesWithTheFloatNetwork) {
  const Network network = deployable(random_network());
  const std::vector<Folder> folders{squares(120)};
  const auto scales = calibrate(network, folders, {.pictures = 120});
  ASSERT_TRUE(scales) << scales.error().message;
  const auto quantized = quantize_detector(network, *scales);
  ASSERT_TRUE(quantized) << quantized.error().message;
  const auto bytes = write_tflite(*quantized, "tiny");
  const auto path = own_path("deploy_test.tflite");
  ASSERT_TRUE(bytes && save_file(path, *bytes));
  const auto engine = make_engine_predictor(path, network);
  std::filesystem::remove(path);
  ASSERT_TRUE(engine) << engine.error().message;
  const auto floats = make_float_predictor(network);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto a = floats->run(folders[0].samples[i].picture);
    const auto b = (*engine)->run(folders[0].samples[i].picture);
    ASSERT_TRUE(a && b);
    for (std::size_t output = 0; output < a->values.size(); ++output) {
      const bool scores = output % 2 == 1;
      double worst = 0;
      for (std::size_t k = 0; k < a->values[output].size(); ++k)
        worst = std::max<double>(worst, std::abs(a->values[output][k] - b->values[output][k]));
      // About a dozen roundings on the way, each of at most half a step; boxes are in strides.
      EXPECT_LT(worst, scores ? 0.05 : 0.25) << "output " << output;
    }
  }
}

TEST(Calibrate, RefusesAHandfulOfPictures) {
  const std::vector<Folder> folders{squares(10)};
  EXPECT_FALSE(calibrate(deployable(random_network()), folders, {}));
}

TEST(Train, StoppedAndResumedGivesTheSameWeights) {
  const auto folder = own_path("train_test");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::vector<Folder> folders{squares(16)};
  TrainOptions options{.steps = 6, .batch_size = 4, .warmup_steps = 2, .bf16 = false, .workers = 2};
  const auto run_with = [&](const std::filesystem::path& checkpoint, const std::atomic<bool>* stop,
                            std::function<void(const Progress&)> report) {
    Network network = random_network();
    ir::TorchModel model(network.graph), average(network.graph);
    model.read_weights(network.graph);
    average.read_weights(network.graph);
    const auto done = train({.network = &network,
                             .model = &model,
                             .average = &average,
                             .folders = folders,
                             .checkpoint = checkpoint,
                             .stop = stop,
                             .report = std::move(report)},
                            options);
    model.write_weights(network.graph);
    return std::pair(done.has_value(), network.graph.ops[0].weight);
  };
  const auto [whole, expected] = run_with(folder / "whole.pt", nullptr, {});
  ASSERT_TRUE(whole);
  std::atomic<bool> stop{false};
  options.report_every = 1;
  const auto [finished, ignored] =
      run_with(folder / "parts.pt", &stop, [&](const Progress& progress) { stop = progress.step == 2; });
  EXPECT_FALSE(finished);
  stop = false;
  const auto [resumed, weights] = run_with(folder / "parts.pt", &stop, {});
  ASSERT_TRUE(resumed);
  ASSERT_EQ(weights.size(), expected.size());
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(weights[i], expected[i], 1e-5) << i;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace wayside::optimizer
