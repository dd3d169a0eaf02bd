// SPDX-License-Identifier: Apache-2.0
// AP50 on cases that can be worked out by hand.
#include "optimizer/detector/evaluate.h"

#include <gtest/gtest.h>

#include <vector>

namespace wayside::optimizer {
namespace {

const LabelBox kLeft{0, 0, 10, 10, 0}, kRight{20, 0, 30, 10, 0}, kNowhere{60, 60, 70, 70, 0};

TEST(Evaluate, PerfectIsOne) {
  const std::vector<Judged> pictures{{{{kLeft, 0.9F}, {kRight, 0.8F}}, {kLeft, kRight}}};
  const auto classes = evaluate(pictures, 2, 0.5F);
  EXPECT_DOUBLE_EQ(classes[0].average_precision, 1);
  EXPECT_EQ(classes[1].object_count, 0U);
  EXPECT_DOUBLE_EQ(mean_average_precision(classes), 1);  // classes without objects do not count
}

TEST(Evaluate, FalseAlarmFirstAndAMiss) {
  // In order of score: wrong, right; one object is never found. Precision at recall 0.5 is 1/2: the area is 0.25.
  const std::vector<Judged> pictures{{{{kNowhere, 0.9F}, {kLeft, 0.8F}}, {kLeft, kRight}}};
  const auto classes = evaluate(pictures, 1, 0.5F);
  EXPECT_DOUBLE_EQ(classes[0].average_precision, 0.25);
  EXPECT_DOUBLE_EQ(classes[0].recall, 0.5);
  EXPECT_DOUBLE_EQ(classes[0].precision, 0.5);
}

TEST(Evaluate, SecondDetectionOfAnObjectIsWrong) {
  const std::vector<Judged> pictures{{{{kLeft, 0.9F}, {kLeft, 0.8F}}, {kLeft}}};
  const auto classes = evaluate(pictures, 1, 0.5F);
  EXPECT_DOUBLE_EQ(classes[0].average_precision, 1);  // it comes after full recall
  EXPECT_DOUBLE_EQ(classes[0].precision, 0.5);
}

TEST(Evaluate, IgnoredRegionExcuses) {
  LabelBox region = kNowhere;
  region.class_id = kIgnoreClass;
  const std::vector<Judged> pictures{{{{kNowhere, 0.9F}, {kLeft, 0.8F}}, {kLeft, region}}};
  EXPECT_DOUBLE_EQ(evaluate(pictures, 1, 0.5F)[0].average_precision, 1);
}

}  // namespace
}  // namespace wayside::optimizer
