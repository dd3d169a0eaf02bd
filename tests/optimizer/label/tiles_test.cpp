// SPDX-License-Identifier: Apache-2.0
// Tiles cover a picture, and boxes come with them: whole ones as they are, cut ones to be ignored.
#include "optimizer/label/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wayside::optimizer {
namespace {

TEST(Tiles, StartsCoverTheLength) {
  EXPECT_EQ(tile_starts(100, 100), (std::vector{0}));
  EXPECT_EQ(tile_starts(50, 100), (std::vector{0}));
  EXPECT_EQ(tile_starts(250, 100), (std::vector{0, 75, 150}));
  EXPECT_EQ(tile_starts(260, 100), (std::vector{0, 75, 150, 160}));
  EXPECT_EQ(tile_starts(3, 1), (std::vector{0, 1, 2}));
}

TEST(Tiles, TakePixelsAndBoxesAlong) {
  Picture picture(175, 60);
  picture.row(20)[3 * 90] = 200;
  const auto tiles = cut_tiles(picture, {{80, 10, 95, 30, 2}, {90, 10, 120, 30, 1}, {0, 0, 10, 10, 0}}, 100);
  ASSERT_EQ(tiles.size(), 2U);
  EXPECT_EQ(tiles[0].picture.width_px, 100);
  EXPECT_EQ(tiles[0].picture.height_px, 60) << "no more than there is";
  EXPECT_EQ(tiles[0].picture.row(20)[3 * 90], 200);
  EXPECT_EQ(tiles[1].picture.row(20)[3 * 15], 200);
  ASSERT_EQ(tiles[0].boxes.size(), 3U);
  EXPECT_EQ(tiles[0].boxes[0].class_id, 2);
  EXPECT_EQ(tiles[0].boxes[1].class_id, kIgnoreClass) << "cut at 100";
  EXPECT_EQ(tiles[0].boxes[1].x1, 100);
  ASSERT_EQ(tiles[1].boxes.size(), 2U) << "the third lies elsewhere";
  EXPECT_EQ(tiles[1].boxes[0].class_id, 2);
  EXPECT_EQ(tiles[1].boxes[0].x0, 5);
  EXPECT_EQ(tiles[1].boxes[1].class_id, 1);
  EXPECT_EQ(tiles[1].boxes[1].x1, 45);
}

}  // namespace
}  // namespace wayside::optimizer
