// SPDX-License-Identifier: Apache-2.0
// The detector's graph: shapes of the heads, separate box and score paths, refused sizes.
#include "optimizer/detector/network.h"

#include <gtest/gtest.h>

namespace wayside::optimizer {
namespace {

TEST(MakeNetwork, HeadsHaveTheirShapesAndNames) {
  const auto network = make_network({.width_px = 320, .height_px = 192, .class_count = 4});
  ASSERT_TRUE(network) << network.error().message;
  for (const auto& level : network->levels) {
    const auto& boxes = network->graph.tensors[network->graph.outputs[level.boxes_output]];
    const auto& scores = network->graph.tensors[network->graph.outputs[level.scores_output]];
    EXPECT_EQ(boxes.shape, (ir::Shape{1, 192 / level.stride, 320 / level.stride, 4}));
    EXPECT_EQ(scores.shape, boxes.shape);
    EXPECT_EQ(boxes.name, "boxes_" + std::to_string(level.stride));
    EXPECT_EQ(scores.name, "scores_" + std::to_string(level.stride));
  }
}

TEST(MakeNetwork, RefusesSidesThatTheStridesDoNotDivide) {
  EXPECT_FALSE(make_network({.width_px = 300, .height_px = 192}));
  EXPECT_FALSE(make_network({.width_px = 320, .height_px = 0}));
}

}  // namespace
}  // namespace wayside::optimizer
