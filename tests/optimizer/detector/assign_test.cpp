// SPDX-License-Identifier: Apache-2.0
// Task-aligned assignment on one 8x8 level whose every cell predicts a 2x2-stride box.
#include "optimizer/detector/assign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace wayside::optimizer {
namespace {

struct Fixture {
  std::vector<float> boxes = std::vector<float>(64 * 4, 1.0F);
  std::vector<float> scores = std::vector<float>(64 * 2, 0.1F);
  std::vector<LevelView> levels{{8, 8, 8, boxes, scores}};
};

TEST(Assign, BestOverlapGetsTheHighestTarget) {
  Fixture fixture;
  const std::vector<LabelBox> objects{{12, 12, 28, 28, 1}};  // exactly what the cell (2,2), centre (20,20), predicts
  const Targets targets = assign(fixture.levels, 2, objects, {});
  const std::size_t cell = 2 * 8 + 2;
  EXPECT_EQ(targets.object[cell], 0);
  EXPECT_FLOAT_EQ(targets.score[cell], 1);
  EXPECT_EQ(std::ranges::max_element(targets.score) - targets.score.begin(), static_cast<std::ptrdiff_t>(cell));
  EXPECT_LE(std::ranges::count(targets.object, 0), 9);
  EXPECT_EQ(targets.object[0], -1);
}

TEST(Assign, EveryObjectGetsACellHoweverBadThePrediction) {
  Fixture fixture;
  std::ranges::fill(fixture.boxes, -5.0F);
  const std::vector<LabelBox> objects{{3, 3, 5, 5, 0}, {30, 30, 60, 60, 1}};
  const Targets targets = assign(fixture.levels, 2, objects, {});
  EXPECT_GT(std::ranges::count(targets.object, 0), 0);
  EXPECT_GT(std::ranges::count(targets.object, 1), 0);
}

TEST(Assign, IgnoredRegionsYieldToObjects) {
  Fixture fixture;
  const std::vector<LabelBox> objects{{0, 0, 64, 32, kIgnoreClass}, {12, 12, 28, 28, 1}};
  const Targets targets = assign(fixture.levels, 2, objects, {});
  EXPECT_EQ(targets.object[2 * 8 + 2], 1);
  EXPECT_EQ(targets.object[7], -2);
  EXPECT_EQ(targets.object[63], -1);
}

}  // namespace
}  // namespace wayside::optimizer
