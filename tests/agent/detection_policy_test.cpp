// SPDX-License-Identifier: Apache-2.0
// DetectionPolicy: rate limit, first empty frame, changes.
#include "agent/detection_policy.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>

namespace wayside::agent {
namespace {

using Kind = DetectionPolicy::Kind;
using std::chrono::milliseconds;

std::unique_ptr<FrameReport> frame(milliseconds when, std::initializer_list<int> classes) {
  auto report = std::make_unique<FrameReport>();
  report->timestamp = when;
  for (const int class_id : classes) report->detections[report->count++].class_id = class_id;
  return report;
}

TEST(DetectionPolicy, EveryPublishesUntilTheFirstEmptyFrame) {
  DetectionPolicy policy(Kind::every, 1000);
  EXPECT_FALSE(policy.accept(*frame(milliseconds(0), {})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(100), {1})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(200), {1})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(300), {})));
  EXPECT_FALSE(policy.accept(*frame(milliseconds(400), {})));
}

TEST(DetectionPolicy, RateIsReachedOnAverageAndNotExceeded) {
  DetectionPolicy policy(Kind::every, 10);
  int published = 0;
  for (int index = 0; index < 300; ++index) published += policy.accept(*frame(milliseconds(index * 33), {1})) ? 1 : 0;
  EXPECT_NEAR(published, 99, 2);  // 9.9 s
}

TEST(DetectionPolicy, OnChangeComparesCountsPerLabel) {
  DetectionPolicy policy(Kind::on_change, 1000);
  EXPECT_FALSE(policy.accept(*frame(milliseconds(0), {})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(10), {1, 2})));
  EXPECT_FALSE(policy.accept(*frame(milliseconds(20), {2, 1})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(30), {2, 2})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(40), {})));
  EXPECT_FALSE(policy.accept(*frame(milliseconds(50), {})));
}

TEST(DetectionPolicy, AChangeThatCameTooEarlyIsNotForgotten) {
  DetectionPolicy policy(Kind::on_change, 1);
  EXPECT_TRUE(policy.accept(*frame(milliseconds(0), {1})));
  EXPECT_FALSE(policy.accept(*frame(milliseconds(500), {1, 1})));
  EXPECT_TRUE(policy.accept(*frame(milliseconds(1000), {1, 1})));
}

}  // namespace
}  // namespace wayside::agent
