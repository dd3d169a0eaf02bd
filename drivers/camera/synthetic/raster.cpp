// SPDX-License-Identifier: Apache-2.0
// Scan conversion of polygons with coverage, gradients, grain and blending.
#include "drivers/camera/synthetic/raster.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace wayside::drivers::synthetic {
namespace {

constexpr int kOne = 256;  // fixed point: one pixel across, and full opacity
constexpr int kFullCoverage = kOne * 4;
constexpr int kClaimCoverage = kFullCoverage / 8;  // so that thin tubes and far limbs count as drawn

std::uint32_t blend(std::uint32_t to, std::uint32_t from, std::uint32_t weight) {  // weight 0..256
  const std::uint32_t rb = ((from & 0xFF00FF) * weight + (to & 0xFF00FF) * (256 - weight)) >> 8;
  const std::uint32_t g = ((from & 0x00FF00) * weight + (to & 0x00FF00) * (256 - weight)) >> 8;
  return (rb & 0xFF00FF) | (g & 0x00FF00);
}

/// Adds -255..255 to the three channels, saturating; two channels at a time with a spare bit each.
std::uint32_t brightened(std::uint32_t pixel, int by) {
  if (by < 0) return ~brightened(~pixel, -by) & 0xFFFFFF;
  const auto n = static_cast<std::uint32_t>(by);
  std::uint32_t rb = (pixel & 0xFF00FF) + n * 0x10001;
  std::uint32_t g = ((pixel >> 8) & 0xFF) + n;
  const std::uint32_t over_rb = rb & 0x1000100;
  rb |= over_rb - (over_rb >> 8);
  g |= 0U - (g >> 8);
  return (rb & 0xFF00FF) | (g & 0xFF) << 8;
}

std::uint32_t added(std::uint32_t to, std::uint32_t from, std::uint32_t weight) {
  std::uint32_t result = 0;
  for (const unsigned shift : {0U, 8U, 16U}) {
    const std::uint32_t sum = ((to >> shift) & 255) + ((((from >> shift) & 255) * weight) >> 8);
    result |= std::min<std::uint32_t>(sum, 255) << shift;
  }
  return result;
}

std::array<std::int8_t, kNoiseSize * kNoiseSize> make_white_noise() {
  std::array<std::int8_t, kNoiseSize * kNoiseSize> tile{};
  Random random(0x5EED);
  for (std::int8_t& value : tile) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += random.unit() - 0.5F;
    value = static_cast<std::int8_t>(std::clamp(sum * 73.0F, -127.0F, 127.0F));  // 73 = 42 / sqrt(4 / 12)
  }
  return tile;
}

std::array<std::int8_t, kNoiseSize * kNoiseSize> make_cloud_noise() {
  std::array<float, kNoiseSize * kNoiseSize> sum{};
  float amplitude = 70;
  for (int octave = 0, cell = 64; octave < 4; ++octave, cell /= 2, amplitude *= 0.6F) {
    const int cells = kNoiseSize / cell;
    const auto corner = [&](int x, int y) {
      const auto key = static_cast<std::uint64_t>((y % cells) * cells + x % cells);
      return Random(mix(0xC10D + static_cast<std::uint64_t>(octave), key)).range(-1, 1);
    };
    for (int y = 0; y < kNoiseSize; ++y) {
      for (int x = 0; x < kNoiseSize; ++x) {
        const int cx = x / cell;
        const int cy = y / cell;
        float fx = static_cast<float>(x % cell) / static_cast<float>(cell);
        float fy = static_cast<float>(y % cell) / static_cast<float>(cell);
        fx = fx * fx * (3 - 2 * fx);
        fy = fy * fy * (3 - 2 * fy);
        const float top = corner(cx, cy) * (1 - fx) + corner(cx + 1, cy) * fx;
        const float bottom = corner(cx, cy + 1) * (1 - fx) + corner(cx + 1, cy + 1) * fx;
        sum[static_cast<std::size_t>(y * kNoiseSize + x)] += amplitude * (top * (1 - fy) + bottom * fy);
      }
    }
  }
  std::array<std::int8_t, kNoiseSize * kNoiseSize> tile{};
  for (std::size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<std::int8_t>(std::clamp(sum[i], -127.0F, 127.0F));
  return tile;
}

}  // namespace

const std::int8_t* white_noise() {
  static const auto tile = make_white_noise();
  return tile.data();
}

const std::int8_t* cloud_noise() {
  static const auto tile = make_cloud_noise();
  return tile.data();
}

void Bounds::include(Vec2 p) {
  x0 = std::min(x0, p.x);
  y0 = std::min(y0, p.y);
  x1 = std::max(x1, p.x);
  y1 = std::max(y1, p.y);
}

Bounds intersection(const Bounds& a, const Bounds& b) {
  return {std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)};
}

/// A Paint with everything that stays the same over one polygon worked out.
struct Canvas::Brush {
  static constexpr int kShades = 64;  ///< steps of a gradient
  explicit Brush(const Paint& paint)
      : blend(paint.blend), alpha(static_cast<int>(std::clamp(paint.alpha, 0.0F, 1.0F) * 256 + 0.5F)) {
    packed = packed_color(paint.color);
    const Vec2 axis = paint.to - paint.from;
    const float size = dot(axis, axis);
    if (paint.gradient && size > 0.01F) {
      gradient = true;
      step = axis * (kShades / size);
      offset = -dot(paint.from, step);
      for (int i = 0; i <= kShades; ++i)
        shades[static_cast<std::size_t>(i)] =
            packed_color(mixed(paint.color, paint.end_color, static_cast<float>(i) * (1.0F / kShades)));
    }
    if (paint.grain > 0) {
      grain = static_cast<int>(paint.grain * 256 / 127);
      grain_x = static_cast<int>(std::clamp(paint.grain_origin.x, -1e6F, 1e6F));
      grain_y = static_cast<int>(std::clamp(paint.grain_origin.y, -1e6F, 1e6F));
    }
  }
  static std::uint32_t packed_color(Rgb c) {
    const auto level = [](float v) { return static_cast<std::uint32_t>(std::clamp(v, 0.0F, 255.0F)); };
    return level(c.r) | level(c.g) << 8 | level(c.b) << 16;
  }
  Blend blend;
  int alpha;
  std::uint32_t packed = 0;
  bool gradient = false;
  std::array<std::uint32_t, kShades + 1> shades;
  Vec2 step{};
  float offset = 0;
  int grain = 0, grain_x = 0, grain_y = 0;
  [[nodiscard]] bool varied() const { return gradient || grain != 0; }
};

Canvas::Canvas(int width_px, int height_px)
    : pixels(static_cast<std::size_t>(width_px * height_px)),
      owners(pixels.size()),
      depths_cm(pixels.size(), kFarDepth),
      width_(width_px),
      height_(height_px),
      crossings_(static_cast<std::size_t>(height_px * kLinesPerPixel * kMaxCrossings)),
      counts_(static_cast<std::size_t>(height_px * kLinesPerPixel)),
      coverage_(static_cast<std::size_t>(width_px) + 2),
      shades_(static_cast<std::size_t>(width_px) + 2) {}

void Canvas::begin_object(std::uint8_t owner) {
  owner_ = owner;
  bounds_ = touched_ = {1e9F, 1e9F, -1e9F, -1e9F};
}

void Canvas::fill(std::span<const Vec2> polygon, const Paint& paint) {
  if (polygon.size() < 3) return;
  Bounds box{1e9F, 1e9F, -1e9F, -1e9F};
  for (const Vec2 p : polygon) box.include(p);
  if (paint.blend == Blend::over) {
    bounds_.include({box.x0, box.y0});
    bounds_.include({box.x1, box.y1});
  }
  touched_.include({box.x0, box.y0});
  touched_.include({box.x1, box.y1});
  const auto w = static_cast<float>(width_);
  const auto h = static_cast<float>(height_);
  if (box.x1 <= 0 || box.x0 >= w || box.y1 <= 0 || box.y0 >= h) return;
  const int row0 = static_cast<int>(std::max(box.y0, 0.0F));
  const int row1 = std::min(height_, static_cast<int>(std::min(box.y1, h)) + 1);
  const int line0 = row0 * kLinesPerPixel;
  const int line1 = row1 * kLinesPerPixel;
  std::memset(counts_.data() + line0, 0, static_cast<std::size_t>(line1 - line0));
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    Vec2 a = polygon[i];
    Vec2 b = polygon[i + 1 == polygon.size() ? 0 : i + 1];
    if (a.y > b.y) std::swap(a, b);
    const float top = std::clamp(a.y, -1.0F, h + 1) * kLinesPerPixel;
    const float bottom = std::clamp(b.y, -1.0F, h + 1) * kLinesPerPixel;
    const int first = std::max(line0, static_cast<int>(std::ceil(top - 0.5F)));
    const int last = std::min(line1, static_cast<int>(std::ceil(bottom - 0.5F)));
    if (first >= last) continue;
    const float slope = (b.x - a.x) / (b.y - a.y);
    for (int line = first; line < last; ++line) {
      const float y = (static_cast<float>(line) + 0.5F) * (1.0F / kLinesPerPixel);
      const float x = std::clamp(a.x + (y - a.y) * slope, 0.0F, w);
      std::uint8_t& count = counts_[static_cast<std::size_t>(line)];
      if (count < kMaxCrossings)
        crossings_[static_cast<std::size_t>(line * kMaxCrossings + count++)] = static_cast<int>(x * kOne + 0.5F);
    }
  }
  const Brush brush(paint);
  for (int row = row0; row < row1; ++row) fill_row(row, brush);
}

void Canvas::fill_row(int row, const Brush& brush) {
  int begin = width_ * kOne, end = 0;            // extent touched at all
  int full_begin = 0, full_end = width_ * kOne;  // extent covered on every line
  for (int i = 0; i < kLinesPerPixel; ++i) {
    const auto line = static_cast<std::size_t>(row * kLinesPerPixel + i);
    const int count = counts_[line] & ~1;
    std::int32_t* cross_px = &crossings_[line * kMaxCrossings];
    if (count == 2) {
      if (cross_px[0] > cross_px[1]) std::swap(cross_px[0], cross_px[1]);
      full_begin = std::max(full_begin, cross_px[0]);
      full_end = std::min(full_end, cross_px[1]);
    } else {
      full_end = 0;
      if (count == 0) continue;
      std::sort(cross_px, cross_px + count);
    }
    begin = std::min(begin, cross_px[0]);
    end = std::max(end, cross_px[count - 1]);
  }
  if (begin >= end) return;
  const int x0 = begin / kOne;
  const int x1 = (end + kOne - 1) / kOne;
  const int full0 = (full_begin + kOne - 1) / kOne;
  const int full1 = full_end / kOne;
  if (brush.varied()) shade(row, x0, x1, brush);
  for (int i = 0; i < kLinesPerPixel; ++i) {
    const auto line = static_cast<std::size_t>(row * kLinesPerPixel + i);
    const int count = counts_[line] & ~1;
    // Each crossing adds a step to the coverage of everything to its right; the sum along the row is the coverage.
    for (int k = 0; k < count; ++k) {
      const std::int32_t at = crossings_[line * kMaxCrossings + static_cast<std::size_t>(k)];
      const int part = at & (kOne - 1), sign = k % 2 == 0 ? 1 : -1;
      std::int32_t* step = &coverage_[static_cast<std::size_t>(at / kOne)];
      step[0] += sign * (kOne - part);
      step[1] += sign * part;
    }
  }
  if (full1 > full0) {
    blend_partial(row, x0, full0, 0, brush);
    blend_full(row, full0, full1, brush);
    coverage_[static_cast<std::size_t>(full0)] = 0;
    blend_partial(row, full1, x1, kFullCoverage, brush);
  } else {
    blend_partial(row, x0, x1, 0, brush);
  }
  coverage_[static_cast<std::size_t>(x1)] = 0;
  coverage_[static_cast<std::size_t>(x1) + 1] = 0;
}

void Canvas::shade(int row, int x0, int x1, const Brush& brush) {
  std::uint32_t* to = shades_.data();
  if (brush.gradient) {
    constexpr float kFixed = 65536;
    const float first =
        (static_cast<float>(x0) + 0.5F) * brush.step.x + (static_cast<float>(row) + 0.5F) * brush.step.y + brush.offset;
    auto along = static_cast<std::int64_t>(std::clamp(first, -1e6F, 1e6F) * kFixed);
    const auto step = static_cast<std::int64_t>(std::clamp(brush.step.x, -1e4F, 1e4F) * kFixed);
    for (int x = x0; x < x1; ++x, along += step)
      to[x] = brush.shades[static_cast<std::size_t>(std::clamp<std::int64_t>(along >> 16, 0, Brush::kShades))];
  } else {
    std::fill(to + x0, to + x1, brush.packed);
  }
  if (brush.grain == 0) return;
  constexpr int kMask = kNoiseSize - 1;
  const std::int8_t* noise = white_noise() + ((row - brush.grain_y) & kMask) * kNoiseSize;
  for (int x = x0; x < x1; ++x) to[x] = brightened(to[x], (noise[(x - brush.grain_x) & kMask] * brush.grain) >> 8);
}

void Canvas::blend_partial(int row, int x0, int x1, int coverage, const Brush& brush) {
  const bool varied = brush.varied();
  for (int x = x0; x < x1; ++x) {
    coverage += std::exchange(coverage_[static_cast<std::size_t>(x)], 0);
    if (coverage == 0) continue;
    const auto at = static_cast<std::size_t>(row * width_ + x);
    const auto weight = static_cast<std::uint32_t>((coverage * brush.alpha) >> 10);  // kFullCoverage = 1 << 10
    if (brush.blend == Blend::shadow) {
      if (depths_cm[at] == kGroundDepth) pixels[at] = blend(pixels[at], brush.packed, weight);
      continue;
    }
    const std::uint32_t from = varied ? shades_[static_cast<std::size_t>(x)] : brush.packed;
    if (brush.blend == Blend::add) {
      pixels[at] = added(pixels[at], from, weight);
      continue;
    }
    pixels[at] = blend(pixels[at], from, weight);
    if (coverage >= kClaimCoverage) owners[at] = owner_;
  }
}

void Canvas::blend_full(int row, int x0, int x1, const Brush& brush) {
  const auto at = static_cast<std::size_t>(row * width_ + x0);
  const auto count = static_cast<std::size_t>(x1 - x0);
  std::uint32_t* to = pixels.data() + at;
  const std::uint32_t* shades = shades_.data() + x0;
  const auto weight = static_cast<std::uint32_t>(brush.alpha);
  if (brush.blend == Blend::shadow) {
    for (std::size_t i = 0; i < count; ++i)
      if (depths_cm[at + i] == kGroundDepth) to[i] = blend(to[i], brush.packed, weight);
    return;
  }
  if (brush.blend == Blend::add) {
    for (std::size_t i = 0; i < count; ++i) to[i] = added(to[i], brush.varied() ? shades[i] : brush.packed, weight);
    return;
  }
  if (brush.alpha == kOne) {
    if (brush.varied())
      std::copy_n(shades, count, to);
    else
      std::fill_n(to, count, brush.packed);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = blend(to[i], brush.varied() ? shades[i] : brush.packed, weight);
  }
  std::memset(owners.data() + at, owner_, count);
}

void Canvas::ellipse(Vec2 center, Vec2 radius, const Paint& paint) {
  constexpr int kMost = 32;
  const float size = std::max(radius.x, radius.y);
  const int corners = size < 4 ? 8 : size < 12 ? 14 : size < 40 ? 20 : kMost;
  std::array<Vec2, kMost> points;
  for (int i = 0; i < corners; ++i) {
    const Vec2 d = direction((static_cast<float>(i) + 0.5F) / static_cast<float>(corners));
    points[static_cast<std::size_t>(i)] = center + Vec2{d.x * radius.x, d.y * radius.y};
  }
  fill({points.data(), static_cast<std::size_t>(corners)}, paint);
}

void Canvas::capsule(Vec2 a, float radius_a, Vec2 b, float radius_b, const Paint& paint) {
  constexpr int kMost = 7;
  Vec2 axis = b - a;
  const float size = length(axis);
  if (size < 0.01F) return ellipse(a, {radius_a, radius_a}, paint);
  axis = axis * (1.0F / size);
  const Vec2 side{-axis.y, axis.x};
  const int corners = std::max(radius_a, radius_b) < 2 ? 2 : std::max(radius_a, radius_b) < 6 ? 4 : kMost;
  std::array<Vec2, 2 * kMost> points;
  std::size_t n = 0;
  for (int i = 0; i < corners; ++i) {  // around b: from +side over the axis to -side
    const Vec2 d = direction(0.5F * static_cast<float>(i) / static_cast<float>(corners - 1));
    points[n++] = b + (side * d.x + axis * d.y) * radius_b;
  }
  for (int i = 0; i < corners; ++i) {
    const Vec2 d = direction(0.5F * static_cast<float>(i) / static_cast<float>(corners - 1));
    points[n++] = a - (side * d.x + axis * d.y) * radius_a;
  }
  fill({points.data(), n}, paint);
}

}  // namespace wayside::drivers::synthetic
