// SPDX-License-Identifier: Apache-2.0
// Ranges, equalisation and bias correction; simulated INT8 against the engine.
#include "optimizer/quantize/ptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include "accel/accelerator.h"
#include "optimizer/ir/assembler.h"
#include "optimizer/passes/passes.h"
#include "optimizer/tflite/writer.h"
#include "tests/optimizer/own_path.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;
using ir::TensorId;

/// Two samples of a standard normal distribution, one value of the second replaced; all of them times `sign`.
TensorStatistics normal_with(float outlier, std::size_t count, float sign = 1) {
  TensorStatistics statistics;
  std::mt19937 random(1);
  std::normal_distribution<float> draw(0, 1);
  std::vector<float> values(count / 2);
  for (float& value : values) value = sign * draw(random);
  std::vector<float> second = values;
  second[7] = sign * outlier;
  for (const auto& sample : {values, second}) statistics.widen(sample);
  for (const auto& sample : {values, second}) statistics.count(sample);
  return statistics;
}

TEST(Calibration, MethodsCutOutliersDifferently) {
  const auto statistics = normal_with(60, 40'000);
  const float low = statistics.range(RangeMethod::min_max).low;
  EXPECT_FLOAT_EQ(statistics.range(RangeMethod::min_max).high, 60);
  EXPECT_NEAR(statistics.range(RangeMethod::average).high, 32, 1);
  EXPECT_LT(statistics.range(RangeMethod::percentile).high, 6);
  EXPECT_LT(statistics.range(RangeMethod::kl).high, 8) << "one value in 40000 carries hardly any information";
  EXPECT_NEAR(statistics.range(RangeMethod::kl).low, low, 1) << "the other end stays";
}

/// Sum of squares: n * step^2 / 12 for rounding, (outlier - high)^2 for the one that is cut. Its derivative by `high`
/// is 0 at high = (outlier + k * low) / (1 + k) with k = n / (12 * 255^2).
TEST(Calibration, SquaredErrorIsLeastWhereTheFormulaSays) {
  for (const std::size_t count : {40'000U, 1'000'000U}) {
    const Range found = normal_with(60, count).range(RangeMethod::mse);
    const double k = static_cast<double>(count) / (12.0 * 255 * 255);
    const double expected = (60 + k * static_cast<double>(found.low)) / (1 + k);
    EXPECT_NEAR(found.high, expected, 60.0 / 50) << count;
    EXPECT_LT(found.low, -3);
    EXPECT_GT(found.low, -4.5) << "the tail of a normal distribution is worth cutting at 8 bits";
  }
}

TEST(Calibration, MirroredValuesGiveMirroredRanges) {
  for (const auto method : {RangeMethod::percentile, RangeMethod::kl, RangeMethod::mse}) {
    const auto up = normal_with(60, 40'000).range(method), down = normal_with(60, 40'000, -1).range(method);
    EXPECT_NEAR(up.high, -down.low, 60.0 / 50) << to_string(method);
    EXPECT_NEAR(up.low, -down.high, 0.2) << to_string(method);
    EXPECT_LT(up.high, 60) << to_string(method);
  }
}

TEST(Calibration, NamesComeBack) {
  for (const auto method :
       {RangeMethod::min_max, RangeMethod::average, RangeMethod::percentile, RangeMethod::kl, RangeMethod::mse}) {
    EXPECT_EQ(range_method(to_string(method)), method);
  }
  EXPECT_FALSE(range_method("widest"));
}

class Ptq : public testing::Test {
 protected:
  TensorId add(Op op, const std::string& name, const ir::Shape& wanted = {}) {
    auto id = assembler.append(std::move(op), name, wanted);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  float draw() { return std::uniform_real_distribution<float>(-1, 1)(random); }
  TensorId layer(OpKind kind, TensorId in, int out, ir::SlidingWindow window, ir::Activation activation,
                 const std::string& name) {
    const auto channels = kind == OpKind::depthwise_conv ? 1U : static_cast<unsigned>(assembler.shape(in).back());
    Op op{.kind = kind, .inputs = {in}, .activation = activation, .window = window};
    op.weight.resize(static_cast<std::size_t>(out) * channels *
                     static_cast<unsigned>(window.kernel_h * window.kernel_w));
    op.bias.resize(static_cast<std::size_t>(out));
    for (float& weight : op.weight) weight = 0.4F * draw();
    for (float& bias : op.bias) bias = 0.2F * draw();
    return add(std::move(op), name);
  }
  /// A network with most operators that the writer knows.
  ir::Graph network() {
    const ir::SlidingWindow odd{
        .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .top = 1, .left = 1, .bottom = 1, .right = 1};
    const auto in = assembler.input("in", {1, 16, 12, 3});
    const auto stem = layer(OpKind::conv, in, 8, odd, ir::Activation::relu, "stem");
    const auto spread = layer(OpKind::depthwise_conv, stem, 8,
                              {.kernel_h = 3, .kernel_w = 3, .top = 1, .left = 1, .bottom = 1, .right = 1},
                              ir::Activation::none, "spread");
    const auto leaky = add({.kind = OpKind::leaky_relu, .inputs = {spread}, .alpha = 0.2F}, "leaky");
    const auto pooled = add({.kind = OpKind::max_pool,
                             .inputs = {leaky},
                             .window = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2}},
                            "pooled");
    const auto up = add({.kind = OpKind::resize_nearest, .inputs = {pooled}}, "up", {1, 8, 6, 8});
    const auto sum = add({.kind = OpKind::add, .inputs = {up, stem}}, "sum");
    const auto half = add({.kind = OpKind::slice, .inputs = {sum}, .axes = {0, 0, 0, 1}, .steps = {1, 1, 1, 2}}, "half",
                          {1, 8, 6, 4});
    const auto joined = add({.kind = OpKind::concat, .inputs = {half, sum}, .axes = {3}}, "joined");
    const auto gate = add({.kind = OpKind::logistic, .inputs = {joined}}, "gate");
    const auto gated = add({.kind = OpKind::mul, .inputs = {joined, gate}}, "gated");
    const auto mean = add({.kind = OpKind::mean, .inputs = {gated}, .axes = {1, 2}}, "mean");
    const auto flat = add({.kind = OpKind::reshape, .inputs = {mean}}, "flat", {1, 12});
    const auto logits = layer(OpKind::fully_connected, flat, 5, {}, ir::Activation::none, "logits");
    assembler.output(add({.kind = OpKind::softmax, .inputs = {logits}, .axes = {1}}, "probabilities"));
    assembler.output(layer(OpKind::conv, gated, 4, {}, ir::Activation::none, "boxes"));
    ir::Graph graph = assembler.take();
    EXPECT_TRUE(passes::to_tflite_forms(graph));
    return graph;
  }
  std::vector<ir::Values> samples(std::size_t count, std::size_t size) {
    std::vector<ir::Values> out(count, ir::Values(size));
    for (auto& sample : out) {
      for (float& value : sample) value = std::round(127.5F + 127.5F * draw());
    }
    return out;
  }

  ir::Assembler assembler;
  std::mt19937 random{21};
};

TEST_F(Ptq, RefusesAFewSamples) {
  const auto done = quantize_after_training(network(), samples(99, 576), {1, -128}, {}, {});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("at least 100"), std::string::npos);
}

class PtqShares : public Ptq, public testing::WithParamInterface<double> {};
INSTANTIATE_TEST_SUITE_P(Int4, PtqShares, testing::Values(0, 0.5, 1));

TEST_P(PtqShares, EngineAgreesWithTheSimulation) {
  const ir::Graph graph = network();
  const auto calibration = samples(100, 576);
  const auto done = quantize_after_training(graph, calibration, {1, -128}, {.int4_share = GetParam()}, {});
  ASSERT_TRUE(done) << done.error().message;
  const auto bytes = write_tflite(done->integer, "ptq test");
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto path = own_path("ptq_test.tflite");
  ASSERT_TRUE(save_file(path, *bytes));
  const auto engine = accel::make_cpu_accelerator();
  const auto session = engine->load(path, {});
  std::filesystem::remove(path);
  ASSERT_TRUE(session) << session.error().message;
  ir::Interpreter simulated(done->graph), exact(graph);
  simulated.simulate(done->scheme);
  std::size_t near = 0, total = 0;
  double worst = 0;
  for (const auto& sample : samples(10, 576)) {
    const auto input = (*session)->input(0);
    for (std::size_t i = 0; i < sample.size(); ++i)
      input[i] = static_cast<std::byte>(static_cast<std::int8_t>(sample[i] - 128));
    ASSERT_TRUE((*session)->run());
    const auto expected = simulated.run({sample}), real = exact.run({sample});
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& q = (*session)->outputs()[i].quantization;
      const auto output = (*session)->output(i);
      for (std::size_t k = 0; k < output.size(); ++k) {
        const float got = q.scale * static_cast<float>(static_cast<std::int8_t>(output[k]) - q.zero_point);
        near += std::abs(got - expected[i][k]) <= 1.01F * q.scale ? 1 : 0;
        worst = std::max(worst, static_cast<double>(std::abs(got - real[i][k]) / q.scale));
        ++total;
      }
    }
  }
  EXPECT_GE(static_cast<double>(near), 0.98 * static_cast<double>(total)) << near << " of " << total;
  if (GetParam() == 0) {
    EXPECT_LE(worst, 24) << "steps from float";
  }
}

TEST_F(Ptq, BiasCorrectionBringsMeansBack) {
  const auto in = assembler.input("in", {1, 4, 4, 8});
  assembler.output(layer(OpKind::conv, in, 6, {}, ir::Activation::none, "out"));
  const ir::Graph graph = assembler.take();
  const auto calibration = samples(100, 128);
  std::vector<double> drift;
  for (const bool corrected : {false, true}) {
    const auto done =
        quantize_after_training(graph, calibration, {1, -128},
                                {.method = RangeMethod::min_max, .equalize = false, .correct_bias = corrected}, {});
    ASSERT_TRUE(done);
    ir::Interpreter exact(graph), rounded(done->graph);
    rounded.simulate(done->scheme);
    std::vector<double> sums(6);
    for (const auto& sample : calibration) {
      const auto a = exact.run({sample})[0], b = rounded.run({sample})[0];
      for (std::size_t i = 0; i < a.size(); ++i) sums[i % 6] += static_cast<double>(b[i] - a[i]);
    }
    double total = 0;
    for (const double sum : sums) total += std::abs(sum);
    drift.push_back(total);
  }
  EXPECT_LT(drift[1], 0.5 * drift[0]);
}

}  // namespace
}  // namespace wayside::optimizer
