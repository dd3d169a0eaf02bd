// SPDX-License-Identifier: Apache-2.0
// Plans of random lifetimes: aligned, inside the arena, never overlapping while alive.
#include "accel/cpu/memory_planner.h"

#include <gtest/gtest.h>

#include <random>

namespace wayside::accel::cpu {
namespace {

using Block = MemoryPlanner::Block;

void expect_sound(const std::vector<Block>& blocks, const MemoryPlanner::Plan& plan) {
  ASSERT_EQ(plan.offsets_bytes.size(), blocks.size());
  for (std::size_t a = 0; a < blocks.size(); ++a) {
    if (blocks[a].size_bytes == 0) continue;
    const std::size_t begin = plan.offsets_bytes[a], end = begin + blocks[a].size_bytes;
    EXPECT_EQ(begin % MemoryPlanner::kAlignmentBytes, 0U);
    EXPECT_LE(end, plan.arena_bytes);
    for (std::size_t b = a + 1; b < blocks.size(); ++b) {
      const bool together = blocks[a].first_use <= blocks[b].last_use && blocks[b].first_use <= blocks[a].last_use;
      if (!together || blocks[b].size_bytes == 0) continue;
      const std::size_t other = plan.offsets_bytes[b];
      EXPECT_TRUE(end <= other || other + blocks[b].size_bytes <= begin) << "blocks " << a << " and " << b;
    }
  }
}

/// The most bytes alive at one time: no plan can be smaller.
std::size_t lower_bound_bytes(const std::vector<Block>& blocks, std::size_t times) {
  std::size_t most = 0;
  for (std::size_t time = 0; time < times; ++time) {
    std::size_t alive = 0;
    for (const auto& block : blocks) {
      if (block.first_use <= time && time <= block.last_use) alive += block.size_bytes;
    }
    most = std::max(most, alive);
  }
  return most;
}

TEST(MemoryPlannerTest, EmptyAndZeroSized) {
  EXPECT_EQ(MemoryPlanner::plan({}).arena_bytes, 0U);
  const std::vector<Block> blocks = {{.size_bytes = 0, .first_use = 0, .last_use = 5}};
  EXPECT_EQ(MemoryPlanner::plan(blocks).arena_bytes, 0U);
}

TEST(MemoryPlannerTest, ChainUsesTwoPlacesOnly) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < 20; ++i) blocks.push_back({.size_bytes = 640, .first_use = i, .last_use = i + 1});
  const auto plan = MemoryPlanner::plan(blocks);
  expect_sound(blocks, plan);
  EXPECT_EQ(plan.arena_bytes, 1280U);
}

TEST(MemoryPlannerTest, FillsTheFirstGapThatFits) {
  // The large block separates in time; the small ones go below it or reuse it.
  const std::vector<Block> blocks = {{.size_bytes = 1024, .first_use = 0, .last_use = 1},
                                     {.size_bytes = 512, .first_use = 1, .last_use = 3},
                                     {.size_bytes = 256, .first_use = 2, .last_use = 4},
                                     {.size_bytes = 1, .first_use = 0, .last_use = 4}};
  const auto plan = MemoryPlanner::plan(blocks);
  expect_sound(blocks, plan);
  EXPECT_EQ(plan.offsets_bytes[2], 0U);
  EXPECT_EQ(plan.arena_bytes, 1024U + 512 + 64);
}

TEST(MemoryPlannerTest, RandomLifetimesNeverOverlap) {
  constexpr std::uint32_t kSeed = 20260901;
  constexpr std::size_t kTimes = 40;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 200; ++round) {
    std::vector<Block> blocks(random() % 60);
    for (auto& block : blocks) {
      block.size_bytes = random() % 3 == 0 ? random() % 64 : random() % 100'000;
      block.first_use = random() % kTimes;
      block.last_use = std::min<std::size_t>(kTimes - 1, block.first_use + (random() % 8));
    }
    const auto plan = MemoryPlanner::plan(blocks);
    expect_sound(blocks, plan);
    EXPECT_GE(plan.arena_bytes, lower_bound_bytes(blocks, kTimes));
    if (HasFailure()) FAIL() << "seed " << kSeed << " round " << round;
  }
}

TEST(MemoryPlannerTest, SameInputSamePlan) {
  std::mt19937 random(7);
  std::vector<Block> blocks(50);
  for (auto& block : blocks) {
    block = {.size_bytes = 64 * (random() % 4), .first_use = random() % 10, .last_use = 10};
  }
  EXPECT_EQ(MemoryPlanner::plan(blocks).offsets_bytes, MemoryPlanner::plan(blocks).offsets_bytes);
}

}  // namespace
}  // namespace wayside::accel::cpu
