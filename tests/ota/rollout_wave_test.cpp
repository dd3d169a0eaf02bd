// SPDX-License-Identifier: Apache-2.0
// The hash of waves: fixed for ever, even, independent between roll-outs.
#include "ota/rollout_wave.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <format>
#include <string>

namespace wayside::ota {
namespace {

constexpr int kDevices = 100'000;

// From `printf 'gate-1\0r1\0s' | sha256sum`: u = 0xccc1a087 and so on; a change of the formula would move devices
// between waves under way.
TEST(RolloutWave, PositionIsTheDocumentedHash) {
  EXPECT_EQ(rollout_position_ppm("gate-1", "r1", "s"), 799829U);
  EXPECT_EQ(rollout_position_ppm("gate-2", "r1", "s"), 117376U);
  EXPECT_EQ(rollout_position_ppm("gate-1", "r2", ""), 159454U);
}

TEST(RolloutWave, PartsAreKeptApart) {
  EXPECT_NE(rollout_position_ppm("ab", "c", ""), rollout_position_ppm("a", "bc", ""));
  EXPECT_NE(rollout_position_ppm("a", "b", "c"), rollout_position_ppm("a", "bc", ""));
}

TEST(RolloutWave, BoundsAreCumulative) {
  constexpr std::array<std::uint32_t, 3> bounds{10, 100, 500};
  EXPECT_EQ(wave_of(0, bounds), 0U);
  EXPECT_EQ(wave_of(9'999, bounds), 0U);
  EXPECT_EQ(wave_of(10'000, bounds), 1U);
  EXPECT_EQ(wave_of(499'999, bounds), 2U);
  EXPECT_EQ(wave_of(500'000, bounds), std::nullopt);
  constexpr std::array<std::uint32_t, 1> all{1000};
  EXPECT_EQ(wave_of(kPositionCount - 1, all), 0U);
}

TEST(RolloutWave, WavesOfHundredThousandDevicesAreWithinHalfAPercent) {
  constexpr std::array<std::uint32_t, 4> bounds{10, 100, 500, 1000};
  double worst_percent = 0;
  for (int rollout = 0; rollout < 5; ++rollout) {
    std::array<int, 4> counts{};
    for (int device = 0; device < kDevices; ++device) {
      const auto position = rollout_position_ppm(std::format("dev-{:06}", device), std::format("r{}", rollout), "");
      ++counts.at(wave_of(position, bounds).value());
    }
    int below = 0;
    for (std::size_t wave = 0; wave < bounds.size(); ++wave) {
      below += counts[wave];
      worst_percent = std::max(worst_percent, std::abs(100.0 * below / kDevices - bounds[wave] / 10.0));
    }
  }
  EXPECT_LE(worst_percent, 0.5);
  RecordProperty("worst_percent", std::to_string(worst_percent));
}

TEST(RolloutWave, FirstWaveOfOneRolloutIsNotTheFirstOfAnother) {
  int both = 0;
  for (int device = 0; device < 10'000; ++device) {
    const auto id = std::format("dev-{}", device);
    both += rollout_position_ppm(id, "a", "") < 100'000 && rollout_position_ppm(id, "b", "") < 100'000 ? 1 : 0;
  }
  EXPECT_NEAR(both, 100, 40);  // 1 % of 10 000 if independent; 4 standard deviations
}

}  // namespace
}  // namespace wayside::ota
