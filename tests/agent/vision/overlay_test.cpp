// SPDX-License-Identifier: Apache-2.0
// Overlays: pixels where they belong, none anywhere else.
#include "agent/vision/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "agent/vision/font.h"

namespace wayside::agent {
namespace {

RgbPicture blank(std::uint32_t width, std::uint32_t height) {
  return {width, height, std::vector<std::uint8_t>(3UL * width * height)};
}

int red_at(const RgbPicture& picture, std::size_t x, std::size_t y) {
  return picture.pixels[3 * (y * picture.width_px + x)];
}

TEST(Overlay, BoxIsAFrame) {
  auto picture = blank(20, 16);
  draw_box(picture, {.x0 = 2, .y0 = 3, .x1 = 12, .y1 = 13}, {255, 0, 0}, 2);
  for (std::size_t y = 0; y < 16; ++y) {
    for (std::size_t x = 0; x < 20; ++x) {
      const bool inside = x >= 2 && x < 12 && y >= 3 && y < 13;
      const bool hole = x >= 4 && x < 10 && y >= 5 && y < 11;
      ASSERT_EQ(red_at(picture, x, y), inside && !hole ? 255 : 0) << x << ',' << y;
    }
  }
}

TEST(Overlay, ClipsEverythingToThePicture) {
  auto picture = blank(10, 10);
  draw_box(picture, {.x0 = -1e9F, .y0 = -5, .x1 = 1e9F, .y1 = 50}, {255, 0, 0}, 3);
  draw_text(picture, -7, -4, "clipped at every edge", {255, 255, 255}, {9, 9, 9}, 3);
  draw_text(picture, 8, 8, "x", {255, 255, 255}, {9, 9, 9}, 2);
  EXPECT_EQ(picture.pixels.size(), 300U);
}

TEST(Overlay, DrawsGlyphsDotByDot) {
  auto picture = blank(7, 9);
  draw_text(picture, 0, 0, "l", {200, 0, 0}, {50, 0, 0}, 1);
  // An L: its left column and its lowest row, inside a margin of one dot.
  for (std::size_t y = 0; y < 9; ++y) {
    for (std::size_t x = 0; x < 7; ++x) {
      const bool dot = (x == 1 && y >= 1 && y <= 7) || (y == 7 && x >= 1 && x <= 5);
      ASSERT_EQ(red_at(picture, x, y), dot ? 200 : 50) << x << ',' << y;
    }
  }
}

TEST(Overlay, FontHasWhatTheHeaderPromises) {
  const auto unknown = glyph_of('?');
  for (const char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;%-_/()[]+=#!'<>*")) {
    EXPECT_NE(glyph_of(c), unknown) << c;
  }
  EXPECT_EQ(glyph_of('\xC3'), unknown);
}

TEST(Overlay, ConvertsAndLabelsACameraPicture) {
  std::vector<std::uint8_t> luma(64 * 48, 255), chroma(32 * 24, 128);
  base::ImageView view{
      .format = base::PixelFormat::i420, .range = base::ColorRange::full, .width_px = 64, .height_px = 48};
  view.planes[0] = {.data = luma.data(), .stride_bytes = 64, .size_bytes = luma.size()};
  view.planes[1] = view.planes[2] = {.data = chroma.data(), .stride_bytes = 32, .size_bytes = chroma.size()};
  auto picture = to_rgb(view);
  ASSERT_TRUE(picture.has_value()) << picture.error().message;
  EXPECT_EQ(picture->view().width_px, 64U);
  EXPECT_TRUE(std::ranges::all_of(picture->pixels, [](auto value) { return value == 255; }));
  ModelCard card;
  card.labels = {"car"};
  const std::array detections = {Detection{.x0 = 10, .y0 = 20, .x1 = 50, .y1 = 40, .score = 0.87F, .class_id = 0}};
  draw_detections(*picture, detections, card);
  EXPECT_FALSE(std::ranges::all_of(picture->pixels, [](auto value) { return value == 255; }));
  view.format = base::PixelFormat::mjpeg;
  EXPECT_FALSE(to_rgb(view).has_value());
}

}  // namespace
}  // namespace wayside::agent
