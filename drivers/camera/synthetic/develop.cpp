// SPDX-License-Identifier: Apache-2.0
// The sensor side of a frame: RGB to NV12 where something changed, lens blur, exposure, noise, rain.
#include <algorithm>
#include <cstring>
#include <utility>

#include "drivers/camera/synthetic/scene.h"

namespace wayside::drivers::synthetic {
namespace {

constexpr int kTile_px = 16;

// BT.601 limited range in 8-bit fixed point (ITU-R BT.601-7, section 2.5.4, scaled by 256).
int luma_of(int r, int g, int b) { return ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16; }
int blue_difference_of(int r, int g, int b) { return ((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128; }
int red_difference_of(int r, int g, int b) { return ((112 * r - 94 * g - 18 * b + 128) >> 8) + 128; }

/// One row of luma: blur with the four neighbours (weights in 1/256), gain in 1/128, plus noise.
void develop_row(const std::uint8_t* above, const std::uint8_t* row, const std::uint8_t* below,
                 const std::int8_t* noise, unsigned neighbour, unsigned gain, int width, std::uint8_t* to) {
  const unsigned center = 256 - 4 * neighbour;
  const auto value = [&](int x, int left, int right) {
    const auto sum =
        static_cast<std::uint16_t>(row[x] * center + (above[x] + below[x] + row[left] + row[right]) * neighbour);
    const auto exposed = static_cast<std::uint16_t>((sum >> 8) * gain) >> 7;
    return static_cast<std::uint8_t>(std::clamp<int>(exposed + noise[x], 0, 255));
  };
  to[0] = value(0, 0, 1);
  for (int x = 1; x < width - 1; ++x) to[x] = value(x, x - 1, x + 1);
  to[width - 1] = value(width - 1, width - 2, width - 1);
}

}  // namespace

void Scene::convert_tile(int tile_x, int tile_y, std::uint8_t* luma, std::uint8_t* chroma) const {
  const int w = canvas_.width();
  const int x0 = tile_x * kTile_px, x1 = std::min(x0 + kTile_px, w);
  for (int y = tile_y * kTile_px; y < std::min((tile_y + 1) * kTile_px, canvas_.height()); y += 2) {
    const std::uint32_t* top = &canvas_.pixels[static_cast<std::size_t>(y * w)];
    const std::uint32_t* bottom = top + w;
    for (int x = x0; x < x1; x += 2) {
      int r = 0, g = 0, b = 0;
      const auto take = [&](std::uint32_t pixel, int px, int py) {
        const int pr = static_cast<int>(pixel & 255), pg = static_cast<int>(pixel >> 8 & 255),
                  pb = static_cast<int>(pixel >> 16 & 255);
        r += pr, g += pg, b += pb;
        luma[static_cast<std::size_t>(py * w + px)] = static_cast<std::uint8_t>(luma_of(pr, pg, pb));
      };
      take(top[x], x, y);
      take(top[x + 1], x + 1, y);
      take(bottom[x], x, y + 1);
      take(bottom[x + 1], x + 1, y + 1);
      r = (r + 2) >> 2, g = (g + 2) >> 2, b = (b + 2) >> 2;
      std::uint8_t* uv = chroma + static_cast<std::size_t>(y / 2 * w + x);
      uv[0] = static_cast<std::uint8_t>(blue_difference_of(r, g, b));
      uv[1] = static_cast<std::uint8_t>(red_difference_of(r, g, b));
    }
  }
}

void Scene::develop(std::uint64_t number, const Picture& picture) {
  const int w = canvas_.width(), h = canvas_.height();
  std::memcpy(picture.luma, background_luma_.data(), background_luma_.size());
  std::memcpy(picture.chroma, background_chroma_.data(), background_chroma_.size());
  for (int ty = 0; ty < tiles_y_; ++ty)
    for (int tx = 0; tx < tiles_x_; ++tx)
      if (dirty_tiles_[static_cast<std::size_t>(ty * tiles_x_ + tx)] != 0)
        convert_tile(tx, ty, picture.luma, picture.chroma);
  // Exposure drifts by a few percent over half a minute and a few minutes, as with passing clouds.
  const auto time_s = static_cast<float>(static_cast<double>(number) / options_.rate_hz);
  const float drift = 0.03F * sine(time_s / 31) + 0.025F * sine(time_s / 173 + 0.3F);
  const auto gain = static_cast<unsigned>(std::clamp(street_.gain * (1 + drift), 0.5F, 1.9F) * 128 + 0.5F);
  const auto neighbour = static_cast<unsigned>(street_.blur * 256);
  // In place: of a row and the one above it, the sharp pixels are kept aside.
  std::uint8_t* above = sharp_rows_.data();
  std::uint8_t* row = above + w;
  for (int y = 0; y < h; ++y) {
    std::uint8_t* to = picture.luma + static_cast<std::size_t>(y * w);
    std::swap(above, row);
    std::copy_n(to, w, row);
    const std::int8_t* noise =
        sensor_noise_.data() + (mix(number, static_cast<std::uint64_t>(y)) & (kNoiseSize * kNoiseSize - 1));
    develop_row(y > 0 ? above : row, row, y + 1 < h ? to + w : row, noise, neighbour, gain, w, to);
  }
  if (street_.light.rain > 0) draw_rain(number, picture);
}

void Scene::draw_rain(std::uint64_t number, const Picture& picture) const {
  const int w = canvas_.width(), h = canvas_.height();
  Random random(mix(street_.seed ^ 0x4A1, number));
  const int streaks = static_cast<int>(street_.light.rain * 0.35F * static_cast<float>(w));
  for (int i = 0; i < streaks; ++i) {
    const int size = 4 + random.below(1 + h / 24);
    const int x0 = random.below(w), y0 = random.below(h), bright = 10 + random.below(26);
    for (int k = 0; k < size && y0 + k < h; ++k) {
      const int x = x0 - k / 8;
      if (x < 0) break;
      std::uint8_t& luma = picture.luma[static_cast<std::size_t>((y0 + k) * w + x)];
      luma = static_cast<std::uint8_t>(std::min(luma + bright, 235));
    }
  }
}

}  // namespace wayside::drivers::synthetic
