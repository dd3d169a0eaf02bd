// SPDX-License-Identifier: Apache-2.0
// Augmentation: same seed, same picture; boxes follow the pixels.
#include "optimizer/data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace wayside::optimizer {
namespace {

constexpr int kWidth = 64, kHeight = 32;

/// Grey with one bright rectangle that is labelled.
Sample bright_box(int wide, int high, const LabelBox& box) {
  Sample sample{.name = "test", .picture = Picture(wide, high), .boxes = {box}};
  std::ranges::fill(sample.picture.rgb, std::uint8_t{40});
  for (int y = static_cast<int>(box.y0); y < static_cast<int>(box.y1); ++y) {
    std::fill_n(sample.picture.row(y) + 3 * static_cast<int>(box.x0), 3 * static_cast<int>(width(box)),
                std::uint8_t{250});
  }
  return sample;
}

TEST(Letterbox, FitsCentresAndPads) {
  const Sample in = bright_box(64, 16, {8, 4, 24, 12, 2});
  const Sample out = letterbox(in, kWidth, kHeight);
  EXPECT_EQ(out.picture.width_px, kWidth);
  EXPECT_EQ(out.picture.height_px, kHeight);
  EXPECT_EQ(out.picture.row(0)[0], kPadValue);
  EXPECT_EQ(out.picture.row(kHeight - 1)[0], kPadValue);
  ASSERT_EQ(out.boxes.size(), 1U);
  EXPECT_FLOAT_EQ(out.boxes[0].x0, 8);
  EXPECT_FLOAT_EQ(out.boxes[0].y0, 4 + 8);  // bars of 8 rows
  EXPECT_EQ(out.boxes[0].class_id, 2);
  EXPECT_EQ(out.picture.row(16)[3 * 16], 250);
}

TEST(Augment, DependsOnTheSeedOnly) {
  const Sample in = bright_box(128, 72, {40, 20, 80, 60, 1});
  const Sample* const pool[4] = {&in, &in, &in, &in};
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    Random first(seed), second(seed);
    const Sample a = augment(pool, kWidth, kHeight, {}, first);
    const Sample b = augment(pool, kWidth, kHeight, {}, second);
    ASSERT_EQ(a.picture.rgb, b.picture.rgb) << "seed " << seed;
    ASSERT_EQ(a.boxes.size(), b.boxes.size()) << "seed " << seed;
  }
}

TEST(Augment, BoxesStayOnTheirPixels) {
  const Sample in = bright_box(128, 72, {40, 20, 80, 60, 1});
  const Sample* const pool[1] = {&in};
  const AugmentOptions geometry_only{.mosaic = 0,
                                     .brightness = 0,
                                     .contrast = 0,
                                     .saturation = 0,
                                     .white_balance = 0,
                                     .grey = 0,
                                     .blur = 0,
                                     .noise = 0};
  int checked = 0;
  for (std::uint64_t seed = 1; seed < 60; ++seed) {
    Random random(seed);
    const Sample out = augment(pool, kWidth, kHeight, geometry_only, random);
    for (const auto& box : out.boxes) {
      EXPECT_GE(box.x0, 0);
      EXPECT_LE(box.x1, kWidth);
      if (box.class_id != 1 || width(box) < 6 || height(box) < 6) continue;
      const int x = static_cast<int>((box.x0 + box.x1) / 2), y = static_cast<int>((box.y0 + box.y1) / 2);
      EXPECT_GT(out.picture.row(y)[3 * x], 200) << "seed " << seed;
      ++checked;
    }
  }
  EXPECT_GT(checked, 20);
}

}  // namespace
}  // namespace wayside::optimizer
