// SPDX-License-Identifier: Apache-2.0
// Canvas: an anti-aliased polygon rasteriser on RGB pixels that also remembers which object owns each pixel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "drivers/camera/synthetic/geometry.h"

namespace wayside::drivers::synthetic {

/// Colour in sRGB levels 0..255; may leave the range while being computed.
struct Rgb {
  float r = 0, g = 0, b = 0;
};
constexpr Rgb operator*(Rgb c, float k) { return {c.r * k, c.g * k, c.b * k}; }
constexpr Rgb operator*(Rgb a, Rgb b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
constexpr Rgb operator+(Rgb a, Rgb b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
constexpr Rgb mixed(Rgb a, Rgb b, float k) { return a * (1.0F - k) + b * k; }
constexpr Rgb gray(float level) { return {level, level, level}; }

enum class Blend : std::uint8_t {
  over,    ///< paints and claims the pixel for the current object
  shadow,  ///< darkens by alpha, on the ground only (static depth kGroundDepth), claims nothing
  add,     ///< adds light, claims nothing
};

struct Paint {
  Rgb color{};
  Rgb end_color{};  ///< colour at `to` when gradient is set
  Vec2 from{}, to{};
  bool gradient = false;
  float alpha = 1;
  float grain = 0;      ///< amplitude of a texture of noise, in levels
  Vec2 grain_origin{};  ///< pixel to which the texture sticks
  Blend blend = Blend::over;
};

/// In pixels; x1/y1 exclusive.
struct Bounds {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  [[nodiscard]] bool empty() const { return x1 <= x0 || y1 <= y0; }
  [[nodiscard]] float area() const { return empty() ? 0 : (x1 - x0) * (y1 - y0); }
  void include(Vec2 p);
};
[[nodiscard]] Bounds intersection(const Bounds& a, const Bounds& b);

/// Static depth of a pixel, in centimetres from the camera; nearer things hide farther ones.
inline constexpr std::uint16_t kGroundDepth = 65535;  ///< the ground: takes shadows, hides nothing
inline constexpr std::uint16_t kFarDepth = 65534;     ///< sky and buildings: hide nothing

inline constexpr int kNoiseSize = 256;  ///< side of the two noise tiles below, a power of two
/// White noise, roughly normal with a standard deviation of 42 (sum of four uniform numbers); [kNoiseSize^2].
[[nodiscard]] const std::int8_t* white_noise();
/// Smooth noise of four octaves that tiles without a seam, -127..127; [kNoiseSize^2].
[[nodiscard]] const std::int8_t* cloud_noise();

class Canvas {
 public:
  Canvas(int width_px, int height_px);

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  /// R, G, B, unused in the bytes from low to high; [height,width].
  std::vector<std::uint32_t> pixels;
  std::vector<std::uint8_t> owners;  ///< object number of each pixel, 0 = none
  std::vector<std::uint16_t> depths_cm;

  /// From here on painted pixels belong to `owner`, and bounds() grows from empty.
  void begin_object(std::uint8_t owner);
  /// From here on touched() grows from empty; owners are not affected by shadows.
  void begin_shadow() { touched_ = {1e9F, 1e9F, -1e9F, -1e9F}; }
  /// What was painted `over` since begin_object, not clipped to the canvas.
  [[nodiscard]] const Bounds& bounds() const { return bounds_; }
  /// Everything painted since then, in any blend.
  [[nodiscard]] const Bounds& touched() const { return touched_; }

  /// Fills a polygon by the even-odd rule; at most 8 edges may cross one line. Four sample lines a pixel, exact
  /// coverage along each. Points may lie far outside.
  void fill(std::span<const Vec2> polygon, const Paint& paint);
  void ellipse(Vec2 center, Vec2 radius, const Paint& paint);
  /// A capsule: the hull of two circles, the shape of limbs, tubes and strokes.
  void capsule(Vec2 a, float radius_a, Vec2 b, float radius_b, const Paint& paint);

 private:
  struct Brush;
  void fill_row(int row, const Brush& brush);
  /// Writes the colours of x0..x1 of a row to shades_.
  void shade(int row, int x0, int x1, const Brush& brush);
  /// Takes the steps in coverage_ from x0 to x1 and leaves them zero; `coverage` is that left of x0.
  void blend_partial(int row, int x0, int x1, int coverage, const Brush& brush);
  void blend_full(int row, int x0, int x1, const Brush& brush);

  static constexpr int kLinesPerPixel = 4;
  static constexpr int kMaxCrossings = 8;
  int width_;
  int height_;
  std::uint8_t owner_ = 0;
  Bounds bounds_{1e9F, 1e9F, -1e9F, -1e9F};
  Bounds touched_ = bounds_;
  std::vector<std::int32_t> crossings_;  ///< [height * kLinesPerPixel, kMaxCrossings], in 1/256 px
  std::vector<std::uint8_t> counts_;     ///< crossings on each sample line
  std::vector<std::int32_t> coverage_;   ///< steps of coverage along a row; zero between rows
  std::vector<std::uint32_t> shades_;    ///< colours of a row of a varied paint
};

}  // namespace wayside::drivers::synthetic
