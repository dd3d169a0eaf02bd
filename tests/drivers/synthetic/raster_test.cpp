// SPDX-License-Identifier: Apache-2.0
// Coverage, blending and ownership of the polygon rasteriser.
#include "drivers/camera/synthetic/raster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace wayside::drivers::synthetic {
namespace {

int red(const Canvas& canvas, int x, int y) {
  return static_cast<int>(canvas.pixels[static_cast<std::size_t>(y * canvas.width() + x)] & 255);
}

TEST(Raster, RectangleOnThePixelGridCoversExactlyItsPixels) {
  Canvas canvas(16, 16);
  canvas.begin_object(7);
  const std::array<Vec2, 4> box{{{3, 4}, {9, 4}, {9, 12}, {3, 12}}};
  canvas.fill(box, {.color = gray(200)});
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 16; ++x) {
      const bool inside = x >= 3 && x < 9 && y >= 4 && y < 12;
      EXPECT_EQ(red(canvas, x, y), inside ? 200 : 0) << x << ',' << y;
      EXPECT_EQ(canvas.owners[static_cast<std::size_t>(y * 16 + x)], inside ? 7 : 0);
    }
  }
}

TEST(Raster, PartlyCoveredPixelsAreBlendedByArea) {
  Canvas canvas(8, 8);
  const std::array<Vec2, 4> box{{{1.25F, 1}, {3.5F, 1}, {3.5F, 1.5F}, {1.25F, 1.5F}}};
  canvas.fill(box, {.color = gray(240)});
  EXPECT_NEAR(red(canvas, 1, 1), 240 * 0.75 * 0.5, 2);
  EXPECT_NEAR(red(canvas, 2, 1), 240 * 0.5, 2);
  EXPECT_NEAR(red(canvas, 3, 1), 240 * 0.25, 2);
  EXPECT_EQ(red(canvas, 4, 1), 0);
}

TEST(Raster, WindingDirectionDoesNotMatter) {
  Canvas a(32, 32), b(32, 32);
  const std::array<Vec2, 5> shape{{{3.3F, 20.1F}, {12, 2.7F}, {28.9F, 9.5F}, {25, 30}, {9, 27.2F}}};
  std::array<Vec2, 5> reversed = shape;
  std::ranges::reverse(reversed);
  a.fill(shape, {.color = {10, 100, 250}});
  b.fill(reversed, {.color = {10, 100, 250}});
  EXPECT_EQ(a.pixels, b.pixels);
}

TEST(Raster, ShapesFarOutsideAreHarmless) {
  Canvas canvas(20, 20);
  const std::array<Vec2, 4> huge{{{-1e6F, -1e6F}, {1e6F, -1e6F}, {1e6F, 1e6F}, {-1e6F, 1e6F}}};
  canvas.fill(huge, {.color = gray(90)});
  for (const std::uint32_t pixel : canvas.pixels) EXPECT_EQ(pixel & 255, 90U);
  canvas.ellipse({-500, 10}, {20, 20}, {.color = gray(255)});
  EXPECT_EQ(red(canvas, 0, 10), 90);
}

TEST(Raster, ConcaveShapesKeepTheirGap) {
  Canvas canvas(24, 24);
  const std::array<Vec2, 8> horseshoe{{{2, 2}, {22, 2}, {22, 20}, {16, 20}, {16, 8}, {8, 8}, {8, 20}, {2, 20}}};
  canvas.fill(horseshoe, {.color = gray(255)});
  EXPECT_EQ(red(canvas, 12, 15), 0);
  EXPECT_EQ(red(canvas, 5, 15), 255);
  EXPECT_EQ(red(canvas, 19, 15), 255);
  EXPECT_EQ(red(canvas, 12, 5), 255);
}

TEST(Raster, ShadowsFallOnTheGroundOnlyAndClaimNothing) {
  Canvas canvas(8, 4);
  std::fill(canvas.pixels.begin(), canvas.pixels.end(), 0xC8C8C8U);
  for (std::size_t i = 0; i < canvas.depths_cm.size(); ++i) canvas.depths_cm[i] = i % 8 < 4 ? kGroundDepth : kFarDepth;
  canvas.begin_object(3);
  const std::array<Vec2, 4> all{{{0, 0}, {8, 0}, {8, 4}, {0, 4}}};
  canvas.fill(all, {.color = {}, .alpha = 0.5F, .blend = Blend::shadow});
  EXPECT_EQ(red(canvas, 1, 1), 100);
  EXPECT_EQ(red(canvas, 6, 1), 200);
  EXPECT_EQ(canvas.owners[9], 0);
}

TEST(Geometry, SineIsAccurateEnoughToDrawWith) {
  for (int i = -400; i < 400; ++i) {
    const float turns = static_cast<float>(i) / 97;
    EXPECT_NEAR(sine(turns), std::sin(static_cast<double>(turns) * 6.283185307179586), 2e-5) << turns;
  }
}

}  // namespace
}  // namespace wayside::drivers::synthetic
