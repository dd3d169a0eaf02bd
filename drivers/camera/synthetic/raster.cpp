// SPDX-License-Identifier: Apache-2.0
// Scan conversion of polygons with coverage, gradients, grain and blending.
#include "drivers/camera/synthetic/raster.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace wayside::drivers::synthetic {
namespace {

constexpr int kOne = 256;  // fixed point: one pixel across, and full opacity
constexpr int kFullCoverage = kOne * 4;

std::uint32_t pack(int r, int g, int b) {
  const auto clamp = [](int v) { return static_cast<std::uint32_t>(std::clamp(v, 0, 255)); };
  return clamp(r) | clamp(g) << 8 | clamp(b) << 16;
}

std::uint32_t blend(std::uint32_t to, std::uint32_t from, std::uint32_t weight) {  // weight 0..256
  const std::uint32_t rb = ((from & 0xFF00FF) * weight + (to & 0xFF00FF) * (256 - weight)) >> 8;
  const std::uint32_t g = ((from & 0x00FF00) * weight + (to & 0x00FF00) * (256 - weight)) >> 8;
  return (rb & 0xFF00FF) | (g & 0x00FF00);
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

/// A Paint with everything that stays the same over one polygon worked out; colours in 1/256 levels.
struct Canvas::Brush {
  explicit Brush(const Paint& paint)
      : blend(paint.blend), alpha(static_cast<int>(std::clamp(paint.alpha, 0.0F, 1.0F) * 256 + 0.5F)) {
    const auto fixed = [](float v) { return static_cast<int>(std::clamp(v, -255.0F, 510.0F) * 256); };
    color = {fixed(paint.color.r), fixed(paint.color.g), fixed(paint.color.b)};
    packed = pack(color[0] >> 8, color[1] >> 8, color[2] >> 8);
    const Vec2 axis = paint.to - paint.from;
    const float size = dot(axis, axis);
    if (paint.gradient && size > 0.01F) {
      varied = true;
      step = axis * (kOne / size);
      offset = -dot(paint.from, step);
      delta = {fixed(paint.end_color.r) - color[0], fixed(paint.end_color.g) - color[1],
               fixed(paint.end_color.b) - color[2]};
    }
    if (paint.grain > 0) {
      varied = true;
      grain = static_cast<int>(paint.grain * 256 / 127);
      grain_x = static_cast<int>(std::clamp(paint.grain_origin.x, -1e6F, 1e6F));
      grain_y = static_cast<int>(std::clamp(paint.grain_origin.y, -1e6F, 1e6F));
    }
  }
  Blend blend;
  int alpha;
  std::array<int, 3> color{}, delta{};
  std::uint32_t packed = 0;
  bool varied = false;
  Vec2 step{};
  float offset = 0;
  int grain = 0, grain_x = 0, grain_y = 0;
};

Canvas::Canvas(int width_px, int height_px)
    : pixels(static_cast<std::size_t>(width_px * height_px)),
      owners(pixels.size()),
      depths_cm(pixels.size(), kFarDepth),
      width_(width_px),
      height_(height_px),
      crossings_(static_cast<std::size_t>(height_px * kLinesPerPixel * kMaxCrossings)),
      counts_(static_cast<std::size_t>(height_px * kLinesPerPixel)) {}

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
  if (full1 > full0) {
    blend_partial(row, x0, full0, brush);
    blend_full(row, full0, full1, brush);
    blend_partial(row, full1, x1, brush);
  } else {
    blend_partial(row, x0, x1, brush);
  }
}

std::uint32_t Canvas::source(int x, int y, const Brush& brush) const {
  const float along =
      (static_cast<float>(x) + 0.5F) * brush.step.x + (static_cast<float>(y) + 0.5F) * brush.step.y + brush.offset;
  const int k = static_cast<int>(std::clamp(along, 0.0F, static_cast<float>(kOne)));
  int noise = 0;
  if (brush.grain != 0) {
    const int tile = (((y - brush.grain_y) & (kNoiseSize - 1)) * kNoiseSize) + ((x - brush.grain_x) & (kNoiseSize - 1));
    noise = white_noise()[tile] * brush.grain;
  }
  return pack((brush.color[0] + ((brush.delta[0] * k) >> 8) + noise) >> 8,
              (brush.color[1] + ((brush.delta[1] * k) >> 8) + noise) >> 8,
              (brush.color[2] + ((brush.delta[2] * k) >> 8) + noise) >> 8);
}

void Canvas::blend_partial(int row, int x0, int x1, const Brush& brush) {
  for (int x = x0; x < x1; ++x) {
    int coverage = 0;
    for (int i = 0; i < kLinesPerPixel; ++i) {
      const auto line = static_cast<std::size_t>(row * kLinesPerPixel + i);
      const std::int32_t* cross_px = &crossings_[line * kMaxCrossings];
      for (int k = 0; k + 1 < counts_[line]; k += 2)
        coverage += std::max(0, std::min(cross_px[k + 1], (x + 1) * kOne) - std::max(cross_px[k], x * kOne));
    }
    if (coverage == 0) continue;
    const auto at = static_cast<std::size_t>(row * width_ + x);
    const auto weight = static_cast<std::uint32_t>(coverage * brush.alpha / kFullCoverage);
    if (brush.blend == Blend::shadow) {
      if (depths_cm[at] == kGroundDepth) pixels[at] = blend(pixels[at], brush.packed, weight);
      continue;
    }
    const std::uint32_t from = brush.varied ? source(x, row, brush) : brush.packed;
    if (brush.blend == Blend::add) {
      pixels[at] = added(pixels[at], from, weight);
      continue;
    }
    pixels[at] = blend(pixels[at], from, weight);
    if (coverage * 2 >= kFullCoverage) owners[at] = owner_;
  }
}

void Canvas::blend_full(int row, int x0, int x1, const Brush& brush) {
  const auto at = static_cast<std::size_t>(row * width_ + x0);
  const auto count = static_cast<std::size_t>(x1 - x0);
  std::uint32_t* to = pixels.data() + at;
  const auto weight = static_cast<std::uint32_t>(brush.alpha);
  if (brush.blend == Blend::shadow) {
    for (std::size_t i = 0; i < count; ++i)
      if (depths_cm[at + i] == kGroundDepth) to[i] = blend(to[i], brush.packed, weight);
    return;
  }
  if (brush.blend == Blend::add) {
    for (std::size_t i = 0; i < count; ++i)
      to[i] = added(to[i], brush.varied ? source(x0 + static_cast<int>(i), row, brush) : brush.packed, weight);
    return;
  }
  if (!brush.varied && brush.alpha == kOne) {
    std::fill_n(to, count, brush.packed);
  } else if (!brush.varied) {
    for (std::size_t i = 0; i < count; ++i) to[i] = blend(to[i], brush.packed, weight);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = blend(to[i], source(x0 + static_cast<int>(i), row, brush), weight);
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
