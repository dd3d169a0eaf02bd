// SPDX-License-Identifier: Apache-2.0
// Geometry first (crop, zoom, flip, mosaic: one resampling), then colour, blur and noise in place.
#include "optimizer/data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace wayside::optimizer {
namespace {

double uniform(Random& random, double low, double high) {
  // Not std::uniform_real_distribution: its results differ between standard libraries.
  return low + (high - low) * (static_cast<double>(random() >> 11) * 0x1.0p-53);
}

bool chance(Random& random, double probability) { return uniform(random, 0, 1) < probability; }

/// Draws `in` at `zoom` output px per input px so that input point (x0,y0) falls on the region's corner.
void place(const Sample& in, Window window, const Region& region, const AugmentOptions& options, Sample& out) {
  const Picture* picture = &in.picture;
  Picture half;
  double shrink = 1;
  while (std::min(std::abs(window.step_x), std::abs(window.step_y)) / shrink > 1.8 && picture->width_px >= 4 &&
         picture->height_px >= 4) {
    half = halve(*picture);
    picture = &half;
    shrink *= 2;
  }
  resample(*picture, {window.x0_px / shrink, window.y0_px / shrink, window.step_x / shrink, window.step_y / shrink},
           region, kPadValue, out.picture);
  for (const LabelBox& box : in.boxes) {
    const auto map_x = [&](float x) {
      return static_cast<float>((x - window.x0_px) / window.step_x) + static_cast<float>(region.x0);
    };
    const auto map_y = [&](float y) {
      return static_cast<float>((y - window.y0_px) / window.step_y) + static_cast<float>(region.y0);
    };
    LabelBox moved{map_x(box.x0), map_y(box.y0), map_x(box.x1), map_y(box.y1), box.class_id};
    if (moved.x0 > moved.x1) std::swap(moved.x0, moved.x1);
    LabelBox cut = moved;
    cut.x0 = std::clamp(moved.x0, static_cast<float>(region.x0), static_cast<float>(region.x1));
    cut.x1 = std::clamp(moved.x1, static_cast<float>(region.x0), static_cast<float>(region.x1));
    cut.y0 = std::clamp(moved.y0, static_cast<float>(region.y0), static_cast<float>(region.y1));
    cut.y1 = std::clamp(moved.y1, static_cast<float>(region.y0), static_cast<float>(region.y1));
    if (width(cut) < 1 || height(cut) < 1) continue;
    const double visible =
        static_cast<double>(width(cut)) * height(cut) / (static_cast<double>(width(moved)) * height(moved));
    const bool too_small = std::max(width(cut), height(cut)) < options.min_side_px;
    if (visible < options.min_visible || too_small) cut.class_id = kIgnoreClass;
    out.boxes.push_back(cut);
  }
}

/// Input px per output px when the whole picture is letterboxed.
double fit_step(const Picture& picture, int width_px, int height_px) {
  return std::max(static_cast<double>(picture.width_px) / width_px, static_cast<double>(picture.height_px) / height_px);
}

/// A random part of `in` at a random zoom fills `region`.
void place_random(const Sample& in, const Region& region, int width_px, int height_px, const AugmentOptions& options,
                  Random& random, Sample& out) {
  const double zoom = std::exp(uniform(random, std::log(options.scale_min), std::log(options.scale_max)));
  const double stretch = std::exp(uniform(random, -0.1, 0.1));
  const double step_x = fit_step(in.picture, width_px, height_px) / zoom * stretch;
  const double step_y = fit_step(in.picture, width_px, height_px) / zoom / stretch;
  const double wide = (region.x1 - region.x0) * step_x, high = (region.y1 - region.y0) * step_y;
  // A picture larger than the region is cropped anywhere; a smaller one lies anywhere within it.
  const double spare_x = in.picture.width_px - wide, spare_y = in.picture.height_px - high;
  Window window{.x0_px = uniform(random, std::min(0.0, spare_x), std::max(0.0, spare_x)),
                .y0_px = uniform(random, std::min(0.0, spare_y), std::max(0.0, spare_y)),
                .step_x = step_x,
                .step_y = step_y};
  if (chance(random, options.flip)) {
    window.x0_px += wide;
    window.step_x = -step_x;
  }
  place(in, window, region, options, out);
}

void change_colours(Picture& picture, const AugmentOptions& options, Random& random) {
  const double contrast = 1 + uniform(random, -options.contrast, options.contrast);
  const double shift = 255 * uniform(random, -options.brightness, options.brightness);
  const double gamma = std::exp(uniform(random, -0.3, 0.3));
  std::array<std::array<std::uint8_t, 256>, 3> table{};
  for (auto& channel : table) {
    const double gain = contrast * (1 + uniform(random, -options.white_balance, options.white_balance));
    for (int v = 0; v < 256; ++v) {
      const double bent = 255 * std::pow(v / 255.0, gamma);
      channel[static_cast<std::size_t>(v)] =
          static_cast<std::uint8_t>(std::clamp((bent - 128) * gain + 128 + shift, 0.0, 255.0));
    }
  }
  const bool grey = chance(random, options.grey);
  const int keep = grey ? 0 : static_cast<int>(256 * (1 + uniform(random, -options.saturation, options.saturation)));
  for (std::size_t i = 0; i + 2 < picture.rgb.size(); i += 3) {
    std::uint8_t* px = &picture.rgb[i];
    const int r = table[0][px[0]], g = table[1][px[1]], b = table[2][px[2]];
    const int luma = (77 * r + 150 * g + 29 * b) / 256;  // BT.601 weights in 1/256
    px[0] = static_cast<std::uint8_t>(std::clamp(luma + (r - luma) * keep / 256, 0, 255));
    px[1] = static_cast<std::uint8_t>(std::clamp(luma + (g - luma) * keep / 256, 0, 255));
    px[2] = static_cast<std::uint8_t>(std::clamp(luma + (b - luma) * keep / 256, 0, 255));
  }
}

void blur(Picture& picture) {
  const Picture in = picture;
  for (int y = 1; y + 1 < picture.height_px; ++y) {
    std::uint8_t* to = picture.row(y);
    const std::uint8_t *a = in.row(y - 1), *b = in.row(y), *c = in.row(y + 1);
    for (int i = 3; i < 3 * (picture.width_px - 1); ++i) {
      const int sum = a[i - 3] + a[i] + a[i + 3] + b[i - 3] + b[i] + b[i + 3] + c[i - 3] + c[i] + c[i + 3];
      to[i] = static_cast<std::uint8_t>(sum / 9);
    }
  }
}

void add_noise(Picture& picture, double sigma, Random& random) {
  // The sum of four uniform bytes is near enough to a Gaussian: mean 510, sigma sqrt(4 * 65535/12) = 147.8.
  const int scale = static_cast<int>(sigma / 147.8 * 65536);
  for (std::size_t i = 0; i + 1 < picture.rgb.size(); i += 2) {
    const std::uint64_t bits = random();
    for (std::size_t k = 0; k < 2; ++k) {
      const auto word = static_cast<std::uint32_t>(bits >> (32 * k));
      const int sum = static_cast<int>((word & 255) + ((word >> 8) & 255) + ((word >> 16) & 255) + (word >> 24)) - 510;
      picture.rgb[i + k] = static_cast<std::uint8_t>(std::clamp(picture.rgb[i + k] + sum * scale / 65536, 0, 255));
    }
  }
}

}  // namespace

Sample letterbox(const Sample& sample, int width_px, int height_px) {
  Sample out{.name = sample.name, .picture = Picture(width_px, height_px), .boxes = {}};
  std::ranges::fill(out.picture.rgb, kPadValue);
  const double step = fit_step(sample.picture, width_px, height_px);
  const int wide = std::clamp(static_cast<int>(std::lround(sample.picture.width_px / step)), 1, width_px);
  const int high = std::clamp(static_cast<int>(std::lround(sample.picture.height_px / step)), 1, height_px);
  const int left = (width_px - wide) / 2, top = (height_px - high) / 2;
  const AugmentOptions keep_all{.min_visible = 0, .min_side_px = 0};
  place(
      sample,
      {0, 0, static_cast<double>(sample.picture.width_px) / wide, static_cast<double>(sample.picture.height_px) / high},
      {left, top, left + wide, top + high}, keep_all, out);
  return out;
}

Sample augment(std::span<const Sample* const> pool, int width_px, int height_px, const AugmentOptions& options,
               Random& random) {
  Sample out{.name = pool[0]->name, .picture = Picture(width_px, height_px), .boxes = {}};
  if (pool.size() >= 4 && chance(random, options.mosaic)) {
    const int cx = static_cast<int>(width_px * uniform(random, 0.3, 0.7));
    const int cy = static_cast<int>(height_px * uniform(random, 0.3, 0.7));
    const std::array<Region, 4> parts{Region{0, 0, cx, cy}, Region{cx, 0, width_px, cy}, Region{0, cy, cx, height_px},
                                      Region{cx, cy, width_px, height_px}};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      place_random(*pool[i], parts[i], width_px, height_px, options, random, out);
    }
  } else {
    place_random(*pool[0], {0, 0, width_px, height_px}, width_px, height_px, options, random, out);
  }
  change_colours(out.picture, options, random);
  if (chance(random, options.blur)) blur(out.picture);
  if (chance(random, options.noise)) add_noise(out.picture, uniform(random, 1, options.noise_sigma), random);
  return out;
}

}  // namespace wayside::optimizer
