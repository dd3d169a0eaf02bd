// SPDX-License-Identifier: Apache-2.0
// View, Light and Pen: the projection, the weather, and drawing of three-dimensional shapes with both.
#pragma once

#include <cstdint>
#include <span>

#include "drivers/camera/synthetic/raster.h"

namespace wayside::drivers::synthetic {

/// A pinhole camera without roll.
class View {
 public:
  struct Setup {
    float y_m = 0;         ///< across the road; the camera stands at x = 0
    float height_m = 4;    ///< above the ground
    float yaw_turns = 0;   ///< of the line of sight, 0 = along +x, 0.25 = along +y
    float tilt_turns = 0;  ///< downwards
    float focal = 0.9F;    ///< focal length / picture width
    int width_px = 0, height_px = 0;
  };
  explicit View(const Setup& setup);

  static constexpr float kNear_m = 0.4F;  ///< nothing nearer is drawn
  [[nodiscard]] float depth_m(Vec3 p) const { return dot(p - eye_, forward_); }
  /// Pixels; only for points at least kNear_m away.
  [[nodiscard]] Vec2 project(Vec3 p) const;
  [[nodiscard]] float px_per_m(Vec3 p) const;
  /// True if a ball around p may touch the picture.
  [[nodiscard]] bool sees(Vec3 p, float radius_m) const;
  /// Ground point under the centre of a pixel of row `py` is base + step * px; false above the horizon.
  [[nodiscard]] bool ground_row(int py, Vec2& base_m, Vec2& step_m, float& depth_m) const;
  /// Row of the horizon in px; may lie outside the picture.
  [[nodiscard]] float horizon_px() const;
  [[nodiscard]] Vec3 eye() const { return eye_; }
  [[nodiscard]] Vec3 right() const { return right_; }
  [[nodiscard]] Vec3 forward() const { return forward_; }

 private:
  Vec3 eye_, forward_, right_, up_;
  float focal_px_;
  Vec2 center_px_;
  float width_px_, height_px_;
};

/// The weather and hour of a scene.
struct Light {
  Rgb ambient{0.6F, 0.6F, 0.6F};  ///< factor for a surface turned away from the sun
  Rgb sun{0.5F, 0.5F, 0.5F};      ///< added for a surface that faces the sun
  Vec3 to_sun{0.3F, 0.5F, 0.8F};
  float shadow = 0.5F;  ///< opacity of cast shadows, 0 = none
  Rgb haze{200, 205, 210};
  float haze_per_m = 0.002F;
  Rgb sky_top{}, sky_bottom{};
  float cloudiness = 0.3F;
  bool night = false;  ///< lamps and windows are lit
  bool lamps = false;  ///< vehicles drive with their lights on
  float rain = 0;      ///< 0..1, density of streaks and wetness of the ground
};

/// How a face is painted, besides its own colour.
struct Finish {
  float gloss = 0;          ///< levels added towards the first edge of the face and taken at the opposite one
  float grain = 0;          ///< levels
  float mirror = 0;         ///< 0..1, how much of the sky it reflects (window panes)
  bool glow = false;        ///< own light: not shaded
  bool both_sides = false;  ///< drawn even when seen from behind
};

/// A ground point and heading: the frame in which people and vehicles are modelled (x ahead, y to the left, z up).
struct Pose {
  Vec3 origin;
  Vec2 ahead{1, 0};
  [[nodiscard]] Vec3 at(float x, float y, float z) const {
    return {origin.x + ahead.x * x - ahead.y * y, origin.y + ahead.y * x + ahead.x * y, origin.z + z};
  }
};

class Pen {
 public:
  Pen(Canvas& on, const View& from, const Light& under) : canvas(on), view(from), light(under) {}
  Canvas& canvas;
  const View& view;
  const Light& light;
  Vec2 grain_origin{};  ///< pixel to which textures stick; set it per object

  [[nodiscard]] Rgb lit(Rgb color, Vec3 normal, float depth_m) const;
  [[nodiscard]] Rgb hazed(Rgb color, float depth_m) const;
  /// Projects with clipping at the near plane; the number of points written to `to` (at least corners + 2 long).
  std::size_t outline(std::span<const Vec3> corners, std::span<Vec2> to) const;
  /// A flat polygon of at most kMaxCorners, counter-clockwise as seen from its front; false when it is turned away.
  bool face(std::span<const Vec3> corners, Rgb color, const Finish& finish = {}) const;
  bool quad(Vec3 a, Vec3 b, Vec3 c, Vec3 d, Rgb color, const Finish& finish = {}) const;
  /// The part u0..u1 x v0..v1 (fractions) of a quad abcd: u from a to b, v from a to d.
  bool patch(const Vec3 (&corners)[4], float u0, float u1, float v0, float v1, Rgb color,
             const Finish& finish = {}) const;
  /// A limb, tube or stem with round shading.
  void limb(Vec3 a, float radius_a_m, Vec3 b, float radius_b_m, Rgb color, float grain = 0) const;
  /// A ball; `squash` scales its height.
  void ball(Vec3 center, float radius_m, Rgb color, float squash = 1, float grain = 0) const;
  /// A disc around `center` spanned by two axes (a wheel seen from any side).
  void disc(Vec3 center, Vec3 axis_u, Vec3 axis_v, Rgb color, float alpha = 1) const;
  /// Light scattered around a lamp.
  void glow(Vec3 center, float radius_m, Rgb color, float strength) const;
  /// The shadow that the hull of `points` (at most 16) casts on the ground, away from the sun.
  void cast_shadow(std::span<const Vec3> points) const;
  /// Soft dark contact patch on the ground under a footprint.
  void contact_shadow(const Pose& pose, float half_length_m, float half_width_m, float strength) const;

  static constexpr std::size_t kMaxCorners = 24;
};

}  // namespace wayside::drivers::synthetic
