// SPDX-License-Identifier: Apache-2.0
// YOLOX and YOLOv8: boxes computed by hand, both layouts, and shapes that do not fit.
#include <cmath>
#include <vector>

#include "tests/optimizer/heads/head_fixture.h"

namespace wayside::optimizer {
namespace {

/// 32x32: 16 cells of stride 8, 4 of 16, 1 of 32; two classes.
TEST(YoloxHead, DecodesACellOfTheSecondLevel) {
  const std::vector<float> cell{0.5F, -0.25F, std::log(2.0F), 0, 0.5F, 0.02F, 0.8F};  // class 0: 0.01, too little
  for (const bool fields_first : {false, true}) {
    const auto graph =
        outputs_only({1, 32, 32, 3}, {{"out", fields_first ? ir::Shape{1, 7, 21} : ir::Shape{1, 21, 7}}});
    const auto head = make_head({.kind = HeadKind::yolox}, graph);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->class_count, 2);
    std::vector<float> out(147);
    for (std::size_t f = 0; f < 7; ++f) out[fields_first ? f * 21 + 19 : 19 * 7 + f] = cell[f];  // row 1, column 1
    const std::vector<std::vector<float>> outputs{out};
    const auto found = head->decode(outputs);
    ASSERT_EQ(found.size(), 1U);
    // Centre (1.5, 0.75) * 16, size (2, 1) * 16.
    expect_box(found[0], {8, 4, 40, 20, 1}, 0.4F);
  }
}

TEST(YoloxHead, RefusesOtherOutputs) {
  const HeadSpec spec{.kind = HeadKind::yolox};
  const std::string wanted = "[1,21,5+classes]";
  expect_refused(spec, outputs_only({1, 32, 32, 3}, {{"out", {1, 20, 7}}}), wanted);
  expect_refused(spec, outputs_only({1, 32, 32, 3}, {{"out", {1, 21, 5}}}), wanted);
  expect_refused(spec, outputs_only({1, 32, 32, 3}, {{"out", {21, 7}}}), "outputs: out [21,7]");
  expect_refused(spec, outputs_only({1, 32, 32, 3}, {{"a", {1, 21, 7}}, {"b", {1, 21, 7}}}), "b [1,21,7]");
}

TEST(Yolov8Head, DecodesPxAndFractionsInBothLayouts) {
  for (const bool fields_first : {false, true}) {
    for (const bool fractions : {false, true}) {
      const float x = fractions ? 1.0F / 64 : 1, y = fractions ? 1.0F / 32 : 1;
      const std::vector<float> cell{32 * x, 16 * y, 8 * x, 4 * y, 0.7F, 0.01F};
      const auto graph =
          outputs_only({1, 32, 64, 3}, {{"out", fields_first ? ir::Shape{1, 6, 42} : ir::Shape{1, 42, 6}}});
      const auto head = make_head({.kind = HeadKind::yolov8}, graph);
      ASSERT_TRUE(head) << head.error().message;
      EXPECT_EQ(head->class_count, 2);
      std::vector<float> out(252);
      for (std::size_t f = 0; f < 6; ++f) out[fields_first ? f * 42 + 5 : 5 * 6 + f] = cell[f];
      const std::vector<std::vector<float>> outputs{out};
      const auto found = head->decode(outputs);
      ASSERT_EQ(found.size(), 1U);
      expect_box(found[0], {28, 14, 36, 18, 0}, 0.7F);
    }
  }
}

TEST(Yolov8Head, RefusesOtherOutputs) {
  const HeadSpec spec{.kind = HeadKind::yolov8};
  expect_refused(spec, outputs_only({1, 32, 64, 3}, {{"out", {1, 4, 42}}}), "[1,4+classes,cells]");
  expect_refused(spec, outputs_only({1, 32, 64, 3}, {{"out", {1, 4, 6, 7}}}), "outputs: out [1,4,6,7]");
}

}  // namespace
}  // namespace wayside::optimizer
