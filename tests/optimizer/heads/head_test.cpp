// SPDX-License-Identifier: Apache-2.0
// Names of heads, and networks that have no picture as input.
#include "optimizer/heads/head.h"

#include "tests/optimizer/heads/head_fixture.h"

namespace wayside::optimizer {
namespace {

TEST(Head, NamesComeBack) {
  for (const auto kind : {HeadKind::ssd, HeadKind::yolox, HeadKind::yolov8, HeadKind::yunet, HeadKind::fastestdet})
    EXPECT_EQ(head_kind(to_string(kind)), kind);
  EXPECT_FALSE(head_kind("yolo"));
}

TEST(Head, WantsOnePicture) {
  for (const ir::Shape& input : {ir::Shape{1, 36}, ir::Shape{1, 32, 32, 1}})
    expect_refused({.kind = HeadKind::yolox}, outputs_only(input, {{"out", {1, 21, 7}}}), "one picture of 3 channels");
}

}  // namespace
}  // namespace wayside::optimizer
