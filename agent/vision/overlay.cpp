// SPDX-License-Identifier: Apache-2.0
// See overlay.h.
#include "agent/vision/overlay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <ranges>

#include "accel/preprocess/preprocess.h"
#include "agent/vision/font.h"

namespace wayside::agent {
namespace {

/// Well told apart from each other and from streets (Okabe and Ito's palette for all kinds of colour vision).
constexpr std::array<Rgb, 7> kColors = {
    {{230, 159, 0}, {86, 180, 233}, {0, 158, 115}, {240, 228, 66}, {213, 94, 0}, {204, 121, 167}, {0, 114, 178}}};
constexpr Rgb kBlack{0, 0, 0};
/// Dots around and between letters.
constexpr int kTextMargin = 1;

struct Rect {
  int x0, y0, x1, y1;  ///< x1, y1 exclusive
};

void fill(RgbPicture& picture, const Rect& rect, Rgb color) {
  const int width = static_cast<int>(picture.width_px), height = static_cast<int>(picture.height_px);
  const int x0 = std::clamp(rect.x0, 0, width), x1 = std::clamp(rect.x1, 0, width);
  for (int y = std::clamp(rect.y0, 0, height); y < std::clamp(rect.y1, 0, height); ++y) {
    auto* pixel =
        picture.pixels.data() + 3 * (static_cast<std::size_t>(y) * picture.width_px + static_cast<std::size_t>(x0));
    for (int x = x0; x < x1; ++x) {
      *pixel++ = color.red;
      *pixel++ = color.green;
      *pixel++ = color.blue;
    }
  }
}

int text_width_px(std::string_view text, int scale) {
  return (static_cast<int>(text.size()) * (kGlyphColumns + 1) + 2 * kTextMargin - 1) * scale;
}
int text_height_px(int scale) { return (kGlyphRows + 2 * kTextMargin) * scale; }

/// Lines and letters grow with the picture: 1 up to VGA height, 2 at 1080p, ...
int scale_for(const RgbPicture& picture) { return std::max(1, static_cast<int>(picture.height_px) / 480); }

int rounded(float value) { return static_cast<int>(std::lround(std::clamp(value, -1e6F, 1e6F))); }

}  // namespace

base::ImageView RgbPicture::view() const {
  base::ImageView image{.format = base::PixelFormat::rgb24,
                        .range = base::ColorRange::full,
                        .width_px = width_px,
                        .height_px = height_px};
  image.planes[0] = {.data = pixels.data(), .stride_bytes = 3UL * width_px, .size_bytes = pixels.size()};
  return image;
}

base::Result<RgbPicture> to_rgb(const base::ImageView& source) {
  accel::PreprocessSpec spec;
  spec.input = {
      .name = "picture",
      .type = accel::DType::u8,
      .shape = {1, static_cast<std::int32_t>(source.height_px), static_cast<std::int32_t>(source.width_px), 3},
      .quantization = {1, 0}};
  WAYSIDE_TRY(auto preprocessor, accel::Preprocessor::create(spec));
  RgbPicture picture{source.width_px, source.height_px, std::vector<std::uint8_t>(spec.input.byte_count())};
  WAYSIDE_CHECK(preprocessor.run(source, {}, std::as_writable_bytes(std::span(picture.pixels))));
  return picture;
}

void draw_box(RgbPicture& picture, const Detection& box, Rgb color, int thickness_px) {
  const Rect r{rounded(box.x0), rounded(box.y0), rounded(box.x1), rounded(box.y1)};
  const int t = thickness_px;
  fill(picture, {r.x0, r.y0, r.x1, std::min(r.y0 + t, r.y1)}, color);
  fill(picture, {r.x0, std::max(r.y1 - t, r.y0), r.x1, r.y1}, color);
  fill(picture, {r.x0, r.y0, std::min(r.x0 + t, r.x1), r.y1}, color);
  fill(picture, {std::max(r.x1 - t, r.x0), r.y0, r.x1, r.y1}, color);
}

void draw_text(RgbPicture& picture, int x_px, int y_px, std::string_view text, Rgb ink, Rgb background, int scale) {
  fill(picture, {x_px, y_px, x_px + text_width_px(text, scale), y_px + text_height_px(scale)}, background);
  int x = x_px + kTextMargin * scale;
  const int y = y_px + kTextMargin * scale;
  for (const char character : text) {
    const auto& glyph = glyph_of(character);
    for (int row = 0; row < kGlyphRows; ++row) {
      for (int column = 0; column < kGlyphColumns; ++column) {
        if ((glyph[static_cast<std::size_t>(row)] >> (kGlyphColumns - 1 - column) & 1) == 0) continue;
        const int dot_x = x + column * scale, dot_y = y + row * scale;
        fill(picture, {dot_x, dot_y, dot_x + scale, dot_y + scale}, ink);
      }
    }
    x += (kGlyphColumns + 1) * scale;
  }
}

void draw_detections(RgbPicture& picture, std::span<const Detection> detections, const ModelCard& card) {
  const int scale = scale_for(picture);
  for (const auto& detection : std::views::reverse(detections)) {  // the best ones on top
    const auto color = kColors[static_cast<std::size_t>(std::max(0, detection.class_id)) % kColors.size()];
    draw_box(picture, detection, color, 2 * scale);
    const auto text = std::format("{} {:.0f}%", label_of(card, detection.class_id), detection.score * 100);
    // Above the box, or inside where there is no room above.
    const int above = rounded(detection.y0) - text_height_px(scale);
    const int right = static_cast<int>(picture.width_px) - text_width_px(text, scale);
    draw_text(picture, std::clamp(rounded(detection.x0), 0, std::max(0, right)),
              above >= 0 ? above : rounded(detection.y0), text, kBlack, color, scale);
  }
}

}  // namespace wayside::agent
