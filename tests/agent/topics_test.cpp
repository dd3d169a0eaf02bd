// SPDX-License-Identifier: Apache-2.0
// Topic names as docs/topics.md has them.
#include "agent/topics.h"

#include <gtest/gtest.h>

namespace wayside::agent {
namespace {

TEST(Topics, FollowTheFourSegmentScheme) {
  const Topics topics("te", "gate-1");
  EXPECT_EQ(topics.device(), "te/device/gate-1//");
  EXPECT_EQ(topics.service(), "te/device/gate-1/service/agent");
  EXPECT_EQ(topics.health(), "te/device/gate-1/service/agent/status/health");
  EXPECT_EQ(topics.twin("software"), "te/device/gate-1///twin/software");
  EXPECT_EQ(topics.model("detector"), "te/device/gate-1///twin/model/detector");
  EXPECT_EQ(topics.measurement("telemetry"), "te/device/gate-1///m/telemetry");
  EXPECT_EQ(topics.measurement_meta("telemetry"), "te/device/gate-1///m/telemetry/meta");
  EXPECT_EQ(topics.event("detection"), "te/device/gate-1///e/detection");
}

}  // namespace
}  // namespace wayside::agent
