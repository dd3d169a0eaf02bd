// SPDX-License-Identifier: Apache-2.0
// Anchor-free decoding and suppression.
#include "optimizer/detector/decode.h"

#include <gtest/gtest.h>

#include <vector>

namespace wayside::optimizer {
namespace {

TEST(Decode, CentreAndStride) {
  std::vector<float> boxes(4 * 4, 0.0F), scores(4 * 2, 0.0F);
  const std::vector<float> distances{1, 0.5F, 2, -3};  // a negative distance counts as 0
  std::copy(distances.begin(), distances.end(), boxes.begin() + 3 * 4);
  scores[3 * 2 + 1] = 0.9F;
  const std::vector<LevelView> levels{{16, 2, 2, boxes, scores}};
  const auto found = decode(levels, 2, {});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].box.class_id, 1);
  EXPECT_FLOAT_EQ(found[0].box.x0, 24 - 16);
  EXPECT_FLOAT_EQ(found[0].box.y0, 24 - 8);
  EXPECT_FLOAT_EQ(found[0].box.x1, 24 + 32);
  EXPECT_FLOAT_EQ(found[0].box.y1, 24);
}

TEST(Suppress, PerClassAndBounded) {
  std::vector<Detection> candidates{
      {{0, 0, 10, 10, 0}, 0.5F}, {{1, 0, 11, 10, 0}, 0.9F}, {{0, 0, 10, 10, 1}, 0.4F}, {{50, 50, 60, 60, 0}, 0.3F}};
  const auto kept = suppress(candidates, {});
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_FLOAT_EQ(kept[0].score, 0.9F);
  EXPECT_EQ(kept[1].box.class_id, 1);
  EXPECT_EQ(suppress(candidates, {.max_detections = 1}).size(), 1U);
}

}  // namespace
}  // namespace wayside::optimizer
