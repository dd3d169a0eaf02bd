// SPDX-License-Identifier: Apache-2.0
// YOLO label files: reading, writing, mapping, bad lines; box overlap.
#include "optimizer/data/labels.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/optimizer/own_path.h"

namespace wayside::optimizer {
namespace {

TEST(ParseYolo, ScalesMapsAndDrops) {
  const auto boxes =
      parse_yolo("2 0.5 0.5 0.5 0.25 extra\n9 0.5 0.5 0.1 0.1\n-1 0.25 0.25 0.5 0.5\n", 100, 200, {{2, 1}});
  ASSERT_TRUE(boxes) << boxes.error().message;
  ASSERT_EQ(boxes->size(), 2U);
  EXPECT_EQ((*boxes)[0].class_id, 1);
  EXPECT_FLOAT_EQ((*boxes)[0].x0, 25);
  EXPECT_FLOAT_EQ((*boxes)[0].y1, 125);
  EXPECT_EQ((*boxes)[1].class_id, kIgnoreClass);
}

TEST(ParseYolo, NamesTheBadLine) {
  for (const char* text : {"0 0.5 0.5 0.5 0.5\nperson 0.5\n", "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0 0.5\n",
                           "0 0.5 0.5 0.5 0.5\n-2 0.5 0.5 0.1 0.5\n"}) {
    const auto boxes = parse_yolo(text, 100, 100, {});
    ASSERT_FALSE(boxes) << text;
    EXPECT_TRUE(boxes.error().message.starts_with("line 2:")) << boxes.error().message;
  }
}

TEST(WriteYolo, IsReadBack) {
  const auto path = own_path("labels_test.txt");
  ASSERT_TRUE(write_yolo(path, {{10, 20, 30, 60, 3}, {0, 0, 50, 50, kIgnoreClass}}, 100, 100));
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(path);
  const auto boxes = parse_yolo(text, 100, 100, {});
  ASSERT_TRUE(boxes);
  ASSERT_EQ(boxes->size(), 2U);
  EXPECT_EQ((*boxes)[0].class_id, 3);
  EXPECT_NEAR((*boxes)[0].y1, 60, 1e-3);
  EXPECT_EQ((*boxes)[1].class_id, kIgnoreClass);
}

TEST(Overlap, KnownValues) {
  EXPECT_FLOAT_EQ(overlap({0, 0, 10, 10, 0}, {5, 0, 15, 10, 0}), 1.0F / 3);
  EXPECT_FLOAT_EQ(overlap({0, 0, 10, 10, 0}, {20, 0, 30, 10, 0}), 0);
  EXPECT_FLOAT_EQ(overlap({0, 0, 0, 10, 0}, {0, 0, 0, 10, 0}), 0);
  EXPECT_FLOAT_EQ(covered({0, 0, 10, 10, 0}, {0, 0, 100, 5, 0}), 0.5);
}

}  // namespace
}  // namespace wayside::optimizer
