// SPDX-License-Identifier: Apache-2.0
// The hash of waves: fixed for ever, even, independent between roll-outs.
#include "ota/rollout_wave.h"

#include <gtest/gtest.h>

#include <array>
#include <format>
#include <string>

namespace wayside::ota {
namespace {

// From `printf 'gate-1\0r1\0s' | sha256sum`: u = 0xccc1a087 and so on; a change of the formula would move devices
// between waves under way.
TEST(RolloutWave, PositionIsTheDocumentedHash) {
  EXPECT_EQ(rollout_position("gate-1", "r1", "s"), 0xccc1a087U);
  EXPECT_EQ(rollout_position("gate-2", "r1", "s"), 0x1e0c63b4U);
  EXPECT_EQ(rollout_position("gate-1", "r2", ""), 0x28d20935U);
}

TEST(RolloutWave, PartsAreKeptApart) {
  EXPECT_NE(rollout_position("ab", "c", ""), rollout_position("a", "bc", ""));
  EXPECT_NE(rollout_position("a", "b", "c"), rollout_position("a", "bc", ""));
}

TEST(RolloutWave, BoundsAreCumulative) {
  constexpr std::array<std::uint64_t, 3> bounds{10, 10, 500};
  EXPECT_EQ(wave_of(0, bounds), 0U);
  EXPECT_EQ(wave_of(9, bounds), 0U);
  EXPECT_EQ(wave_of(10, bounds), 2U) << "an empty wave is passed over";
  EXPECT_EQ(wave_of(499, bounds), 2U);
  EXPECT_EQ(wave_of(500, bounds), std::nullopt);
  constexpr std::array<std::uint64_t, 1> all{kPositionCount};
  EXPECT_EQ(wave_of(UINT32_MAX, all), 0U);
}

TEST(RolloutWave, FirstWaveOfOneRolloutIsNotTheFirstOfAnother) {
  constexpr std::uint64_t tenth = kPositionCount / 10;
  int both = 0;
  for (int device = 0; device < 10'000; ++device) {
    const auto id = std::format("dev-{}", device);
    both += rollout_position(id, "a", "") < tenth && rollout_position(id, "b", "") < tenth ? 1 : 0;
  }
  EXPECT_NEAR(both, 100, 40);  // 1 % of 10 000 if independent; 4 standard deviations
}

}  // namespace
}  // namespace wayside::ota
