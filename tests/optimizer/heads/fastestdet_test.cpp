// SPDX-License-Identifier: Apache-2.0
// FastestDet: a box computed by hand, both layouts, and shapes that do not fit.
#include <cmath>
#include <vector>

#include "tests/optimizer/heads/head_fixture.h"

namespace wayside::optimizer {
namespace {

/// 32x64: 2 rows and 4 columns; two classes.
TEST(FastestDetHead, DecodesACell) {
  const float half = std::atanh(0.5F);
  const std::vector<float> cell{0.5F, half, -half, 0, std::log(1.0F / 3), 0.25F, 0};  // w 1/2, h 1/4 of the picture
  for (const bool fields_first : {false, true}) {
    const auto graph =
        outputs_only({1, 32, 64, 3}, {{"out", fields_first ? ir::Shape{1, 7, 2, 4} : ir::Shape{1, 2, 4, 7}}});
    const auto head = make_head({.kind = HeadKind::fastestdet}, graph);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->class_count, 2);
    std::vector<float> out(56);
    for (std::size_t f = 0; f < 7; ++f) out[fields_first ? f * 8 + 6 : 6 * 7 + f] = cell[f];  // row 1, column 2
    const std::vector<std::vector<float>> outputs{out};
    const auto found = head->decode(outputs);
    ASSERT_EQ(found.size(), 1U);
    // Centre (2.5, 0.5) * 16, size 32 x 8.
    expect_box(found[0], {24, 4, 56, 12, 0}, std::pow(0.5F, 0.6F) * std::pow(0.25F, 0.4F));
  }
}

TEST(FastestDetHead, RefusesOtherOutputs) {
  const HeadSpec spec{.kind = HeadKind::fastestdet};
  expect_refused(spec, outputs_only({1, 32, 64, 3}, {{"out", {1, 7, 4, 4}}}), "[1,5+classes,2,4]");
  expect_refused(spec, outputs_only({1, 32, 64, 3}, {{"out", {1, 5, 2, 4}}}), "outputs: out [1,5,2,4]");
}

}  // namespace
}  // namespace wayside::optimizer
