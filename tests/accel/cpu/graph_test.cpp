// SPDX-License-Identifier: Apache-2.0
// Shapes and printable text.
#include "accel/cpu/graph.h"

#include <gtest/gtest.h>

namespace wayside::accel::cpu {
namespace {

TEST(ShapeTest, CountsAndPrints) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.element_count(), 24U);
  EXPECT_EQ(shape.product(1, 3), 12U);
  EXPECT_EQ(to_string(shape), "[2,3,4]");
  EXPECT_EQ(shape, (Shape{2, 3, 4}));
  EXPECT_NE(shape, (Shape{2, 3}));
  EXPECT_EQ(Shape{}.element_count(), 1U);
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(shape.extended(), (std::array<std::int32_t, kMaxRank>{1, 1, 1, 2, 3, 4}));
}

TEST(PrintableTest, HidesControlCharactersAndCutsLength) {
  EXPECT_EQ(printable("a\nb\x1b[0m\xff"), "a?b?[0m?");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 64U);
}

}  // namespace
}  // namespace wayside::accel::cpu
