// SPDX-License-Identifier: Apache-2.0
// A bright block that wanders over a noisy ground must be found where it is, a flickering exposure must not.
#include "optimizer/label/motion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace wayside::optimizer {
namespace {

constexpr int kWidth = 320, kHeight = 240;

Picture ground(std::mt19937& random, int exposure) {
  Picture picture(kWidth, kHeight);
  for (auto& value : picture.rgb) value = static_cast<std::uint8_t>(60 + exposure + static_cast<int>(random() % 9));
  return picture;
}

void draw(Picture& picture, int x0, int y0, int x1, int y1, std::uint8_t value) {
  for (int y = y0; y < y1; ++y) std::fill(picture.row(y) + 3 * x0, picture.row(y) + 3 * x1, value);
}

std::vector<Picture> recording() {
  std::mt19937 random(11);
  std::vector<Picture> frames;
  for (int i = 0; i < 15; ++i) {
    frames.push_back(ground(random, (i % 3) * 10));
    if (i % 2 == 0) draw(frames.back(), 16 * i, 80, 16 * i + 60, 140, 220);
  }
  return frames;
}

TEST(MotionLabeller, FindsTheMovingBlockAndNothingElse) {
  const auto frames = recording();
  const auto labeller = MotionLabeller::create(frames, {.class_id = 7});
  ASSERT_TRUE(labeller) << labeller.error().message;
  for (int i = 0; i < 15; ++i) {
    const auto boxes = labeller->label(frames[static_cast<std::size_t>(i)]);
    ASSERT_EQ(boxes.size(), i % 2 == 0 ? 1U : 0U) << "frame " << i;
    if (boxes.empty()) continue;
    const float left = static_cast<float>(16 * i);
    EXPECT_GT(overlap(boxes[0], {left, 80, left + 60, 140, 0}), 0.8F) << "frame " << i;
    EXPECT_EQ(boxes[0].class_id, 7);
  }
}

TEST(MotionLabeller, ClosesAWindowThatLooksLikeTheGround) {
  auto frames = recording();
  draw(frames[4], 64, 104, 124, 118, 64);  // splits the block in two
  const auto labeller = MotionLabeller::create(frames, {});
  ASSERT_TRUE(labeller);
  EXPECT_EQ(labeller->label(frames[4]).size(), 1U);
}

TEST(MotionLabeller, ASliverAtTheEdgeIsIgnored) {
  auto frames = recording();
  draw(frames[1], 0, 60, 12, 120, 220);
  const auto labeller = MotionLabeller::create(frames, {});
  ASSERT_TRUE(labeller);
  const auto boxes = labeller->label(frames[1]);
  ASSERT_EQ(boxes.size(), 1U);
  EXPECT_EQ(boxes[0].class_id, kIgnoreClass);
}

TEST(MotionLabeller, RepaintsOnlyWhatMoves) {
  const auto frames = recording();
  const auto labeller = MotionLabeller::create(frames, {});
  ASSERT_TRUE(labeller);
  const Picture painted = labeller->repaint(frames[4], {0.5, 1.0, 0.0});
  const std::uint8_t* inside = painted.row(110) + 3 * 94;
  EXPECT_EQ(inside[0], 110);
  EXPECT_EQ(inside[1], 220);
  EXPECT_EQ(inside[2], 0);
  EXPECT_TRUE(std::equal(painted.row(20), painted.row(40), frames[4].row(20)));
}

TEST(MotionLabeller, RefusesFramesOfDifferentSizesAndTooFew) {
  auto frames = recording();
  EXPECT_FALSE(MotionLabeller::create(std::span(frames).first(2), {}));
  frames[3] = Picture(64, 64);
  EXPECT_FALSE(MotionLabeller::create(frames, {}));
}

}  // namespace
}  // namespace wayside::optimizer
