// SPDX-License-Identifier: Apache-2.0
// Two models' views of one frame.
#include "agent/ota/disagreement.h"

#include <gtest/gtest.h>

namespace wayside::agent {
namespace {

using Boxes = std::vector<Detection>;
const std::vector<std::string> kLabels = {"person", "car"};
const std::vector<std::string> kSwapped = {"car", "person"};

Disagreement compare(const Boxes& old_boxes, const Boxes& new_boxes, const std::vector<std::string>& new_labels) {
  Disagreement sum;
  compare_sights({.detections = old_boxes, .labels = kLabels, .score_threshold = 0.4F},
                 {.detections = new_boxes, .labels = new_labels, .score_threshold = 0.4F}, sum);
  return sum;
}

constexpr Detection kCar{.x0 = 10, .y0 = 10, .x1 = 50, .y1 = 30, .score = 0.9F, .class_id = 1};

Detection moved(Detection box, float by) {
  box.x0 += by;
  box.x1 += by;
  return box;
}

TEST(DisagreementTest, EqualViewsAgree) {
  const auto sum = compare({kCar, moved(kCar, 100)}, {moved(kCar, 101), kCar}, kLabels);
  EXPECT_EQ(sum.compared, 2U);
  EXPECT_EQ(sum.disagreed, 0U);
  EXPECT_EQ(sum.permille(), 0U);
}

TEST(DisagreementTest, ABoxElsewhereIsTwoObjects) {
  const auto sum = compare({kCar}, {moved(kCar, 30)}, kLabels);
  EXPECT_EQ(sum.compared, 2U);
  EXPECT_EQ(sum.disagreed, 2U);
  EXPECT_EQ(sum.permille(), 1000U);
}

TEST(DisagreementTest, LabelsAreComparedByName) {
  EXPECT_EQ(compare({kCar}, {kCar}, kSwapped).disagreed, 2U) << "the same number means something else";
  Detection renumbered = kCar;
  renumbered.class_id = 0;
  EXPECT_EQ(compare({kCar}, {renumbered}, kSwapped).disagreed, 0U) << "another number means the same";
  Detection nameless = kCar;
  nameless.class_id = 7;
  EXPECT_EQ(compare({kCar}, {nameless}, kLabels).disagreed, 2U);
}

TEST(DisagreementTest, NobodyIsBlamedForAnUnsureObject) {
  Detection unsure = kCar;
  unsure.score = 0.45F;
  EXPECT_EQ(compare({unsure}, {}, kLabels).compared, 0U);
  EXPECT_EQ(compare({}, {unsure}, kLabels).compared, 0U);
  EXPECT_EQ(compare({unsure}, {kCar}, kLabels).compared, 1U) << "it counts where the other sees it too";
  EXPECT_EQ(compare({kCar}, {}, kLabels).disagreed, 1U);
}

TEST(DisagreementTest, ABoxIsUsedOnce) {
  const auto sum = compare({kCar, kCar}, {kCar}, kLabels);
  EXPECT_EQ(sum.compared, 2U);
  EXPECT_EQ(sum.disagreed, 1U);
}

TEST(DisagreementTest, NothingSeenIsNothingCompared) { EXPECT_EQ(compare({}, {}, kLabels).permille(), 0U); }

}  // namespace
}  // namespace wayside::agent
