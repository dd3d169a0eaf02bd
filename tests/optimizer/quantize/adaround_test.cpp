// SPDX-License-Identifier: Apache-2.0
// Learned rounding of four-bit weights: nearer to the float network than nearest rounding; the same for the same seed.
#include "optimizer/quantize/adaround.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <print>
#include <random>
#include <vector>

#include "optimizer/quantize/ptq.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

class AdaRound : public testing::Test {
 protected:
  void SetUp() override {
    ir::set_interpreter_threads(1);
    pictures = draw_pictures(kMinCalibrationPictures);
    unseen = draw_pictures(16);
  }
  std::vector<ir::Values> draw_pictures(std::size_t count) {
    std::vector<ir::Values> out(count, ir::Values(std::size_t{16} * 16 * 3));
    for (auto& picture : out) {
      for (float& value : picture) value = std::uniform_real_distribution<float>(0, 1)(random);
    }
    return out;
  }
  Quantized quantized(std::int64_t steps, double int4_share = 1) const {
    auto done = quantize_after_training(exact, pictures, {.scale = 1.0F / 255, .zero_point = -128},
                                        {.int4_share = int4_share, .adaround_steps = steps}, {});
    EXPECT_TRUE(done) << done.error().message;
    return *std::move(done);
  }
  /// Mean square error of all outputs on pictures that were not looked at.
  double loss(const Quantized& one) const {
    ir::Interpreter float_run(exact), rounded(one.graph);
    rounded.simulate(one.scheme);
    double sum = 0, count = 0;
    for (const auto& picture : unseen) {
      const auto a = float_run.run({picture}), b = rounded.run({picture});
      for (std::size_t o = 0; o < a.size(); ++o) {
        for (std::size_t k = 0; k < a[o].size(); ++k) {
          const double error = static_cast<double>(a[o][k]) - static_cast<double>(b[o][k]);
          sum += error * error;
        }
        count += static_cast<double>(a[o].size());
      }
    }
    return sum / count;
  }

  std::mt19937 random{7};
  ir::Graph exact = small_graph(3);
  std::vector<ir::Values> pictures, unseen;
};

TEST_F(AdaRound, BeatsNearestRoundingOfFourBits) {
  const double nearest = loss(quantized(0)), learned = loss(quantized(400));
  std::println("mean square error: nearest {:.6f}, learned {:.6f}", nearest, learned);
  EXPECT_LT(learned, 0.9 * nearest);
}

/// Each weight goes to one of its two neighbours, on the grid that the quantiser finds again.
TEST_F(AdaRound, ChoosesBetweenTheTwoNeighbours) {
  const Quantized nearest = quantized(0), learned = quantized(100);
  std::size_t moved = 0, total = 0;
  for (std::size_t i = 0; i < learned.graph.ops.size(); ++i) {
    const auto &a = nearest.integer.weights[i], &b = learned.integer.weights[i];
    ASSERT_EQ(a.scale.size(), b.scale.size());
    for (std::size_t o = 0; o < a.scale.size(); ++o) EXPECT_NEAR(a.scale[o], b.scale[o], 1e-6F * a.scale[o]);
    for (std::size_t k = 0; k < a.weight.size(); ++k) {
      EXPECT_LE(std::abs(a.weight[k] - b.weight[k]), 1);
      moved += a.weight[k] != b.weight[k] ? 1 : 0;
      ++total;
    }
  }
  EXPECT_GT(moved, total / 50);
  EXPECT_LT(moved, total / 2);
}

TEST_F(AdaRound, TheSameAgain) {
  const Quantized a = quantized(30), b = quantized(30);
  for (std::size_t i = 0; i < a.graph.ops.size(); ++i) EXPECT_EQ(a.graph.ops[i].weight, b.graph.ops[i].weight);
}

TEST_F(AdaRound, StopsWhenAsked) {
  double last = 0;
  const auto stopped = quantize_after_training(exact, pictures, {.scale = 1.0F / 255, .zero_point = -128},
                                               {.int4_share = 1, .adaround_steps = 50}, [&](double done) {
                                                 EXPECT_GE(done, last);
                                                 last = done;
                                                 return done < 0.5;
                                               });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, base::Code::bad_state);
}

/// With layers of both widths only the four-bit ones are learned.
TEST_F(AdaRound, LeavesWiderLayersAlone) {
  const Quantized nearest = quantized(0, 0.5), learned = quantized(30, 0.5);
  bool narrow = false;
  for (std::size_t i = 0; i < learned.graph.ops.size(); ++i) {
    if (!has_weights(learned.graph.ops[i].kind)) continue;
    narrow = narrow || learned.scheme.weight(i) == WeightFormat::int4;
    if (learned.scheme.weight(i) != WeightFormat::int8) continue;
    EXPECT_EQ(nearest.integer.weights[i].weight, learned.integer.weights[i].weight);
  }
  EXPECT_TRUE(narrow);
}

}  // namespace
}  // namespace wayside::optimizer
