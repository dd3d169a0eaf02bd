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
  auto compiled =
      compile_detector(network, calibration_samples(network, folders, 120), {.method = RangeMethod::average});
  ASSERT_TRUE(compiled) << compiled.error().message;
  const auto bytes = write_tflite(compiled->integer, "tiny");
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
  const Network network = deployable(random_network());
  EXPECT_FALSE(compile_detector(network, calibration_samples(network, folders, 256), {}));
}

/// As `wayside-train export` does with a recipe that has fine_tune: labels teach the rounded network.
TEST(FineTune, TrainsWithTheRoundingsOfTheCompiledNetwork) {
  const Network network = deployable(random_network());
  const std::vector<Folder> folders{squares(120)};
  auto compiled =
      compile_detector(network, calibration_samples(network, folders, 120), {.method = RangeMethod::average});
  ASSERT_TRUE(compiled) << compiled.error().message;
  Network student = trainable(network, *compiled);
  ASSERT_EQ(student.graph.ops.size() + 3, compiled->graph.ops.size()) << "without three logistics";
  const auto scales = compiled->integer.tensors;
  ir::TorchModel model(student.graph), average(student.graph);
  Scheme scheme = compiled->scheme;
  scheme.weights.clear();
  for (auto* each : {&model, &average}) {
    each->read_weights(student.graph);
    each->fake_quantize(scheme);
  }
  std::vector<double> losses;
  const auto folder = own_path("fine_tune_test");
  std::filesystem::create_directories(folder);
  const auto done = train({.network = &student,
                           .model = &model,
                           .average = &average,
                           .folders = folders,
                           .checkpoint = folder / "fine_tune.pt",
                           .stop = nullptr,
                           .report = [&](const Progress& now) { losses.push_back(now.score_loss + now.box_loss); }},
                          {.steps = 400,
                           .batch_size = 8,
                           .learning_rate = 5e-3,
                           .warmup_steps = 5,
                           .ema_decay = 0.9,
                           .bf16 = false,
                           .workers = 2,
                           .report_every = 10});
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_GE(losses.size(), 2U);
  EXPECT_LT(losses.back(), 0.9 * losses.front()) << "as far as the scales of a network of random weights let it";
  average.write_weights(student.graph);
  const auto before = compiled->integer.weights[0].weight;
  ASSERT_TRUE(take_weights(student, *compiled));
  EXPECT_NE(compiled->integer.weights[0].weight, before);
  for (std::size_t i = 0; i < scales.size(); ++i) EXPECT_EQ(compiled->integer.tensors[i].scale, scales[i].scale) << i;
  const auto bytes = write_tflite(compiled->integer, "tuned");
  const auto path = own_path("fine_tune_test.tflite");
  ASSERT_TRUE(bytes && save_file(path, *bytes));
  const auto engine = make_engine_predictor(path, network);
  std::filesystem::remove(path);
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_TRUE((*engine)->run(folders[0].samples[0].picture));
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
