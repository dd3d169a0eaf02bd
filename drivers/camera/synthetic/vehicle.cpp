// SPDX-License-Identifier: Apache-2.0
// Hulls, wheels, plates and lamps.
#include "drivers/camera/synthetic/vehicle.h"

#include <algorithm>
#include <string_view>

#include "drivers/camera/synthetic/font.h"

namespace wayside::drivers::synthetic {

Plate make_plate(std::uint64_t vehicle) {
  static constexpr char kLetters[] = "ABCDEFGHJKLMNPRSTUVWXYZ";  // no I, O, Q: too close to 1 and 0
  Random random(mix(vehicle, 0x91A7E));
  Plate plate;
  plate.text = {kLetters[random.below(23)], kLetters[random.below(23)], ' '};
  for (std::size_t i = 3; i < 7; ++i) plate.text[i] = static_cast<char>('0' + random.below(10));
  static constexpr Rgb kBackgrounds[] = {
      {235, 236, 232}, {235, 236, 232}, {238, 200, 60}, {40, 75, 160}, {240, 242, 245}};
  const int kind = random.below(5);
  plate.background = kBackgrounds[kind];
  plate.ink = kind == 3 ? gray(235) : kind == 4 ? Rgb{20, 90, 50} : gray(22);
  return plate;
}

void strip_corners(const Pose& pose, std::span<const ProfilePoint> profile, std::size_t index, Vec3 (&corners)[4]) {
  const ProfilePoint& a = profile[index];
  const ProfilePoint& b = profile[index + 1 == profile.size() ? 0 : index + 1];
  corners[0] = pose.at(a.x, -a.half_width, a.z);
  corners[1] = pose.at(a.x, a.half_width, a.z);
  corners[2] = pose.at(b.x, b.half_width, b.z);
  corners[3] = pose.at(b.x, -b.half_width, b.z);
}

void draw_hull(const Pen& pen, const Pose& pose, std::span<const ProfilePoint> profile, Rgb color,
               const Finish& finish) {
  constexpr std::size_t kMost = 12;
  Vec3 corners[4];
  for (std::size_t i = 0; i + 1 < profile.size(); ++i) {
    strip_corners(pose, profile, i, corners);
    pen.face(corners, color, finish);
  }
  const std::size_t n = std::min(profile.size(), kMost);
  std::array<Vec3, kMost> flank;
  for (std::size_t i = 0; i < n; ++i) flank[i] = pose.at(profile[i].x, -profile[i].half_width, profile[i].z);
  pen.face({flank.data(), n}, color, finish);
  for (std::size_t i = 0; i < n; ++i) {
    const ProfilePoint& p = profile[n - 1 - i];
    flank[i] = pose.at(p.x, p.half_width, p.z);
  }
  pen.face({flank.data(), n}, color, finish);
}

bool flank_visible(const Pen& pen, const Pose& pose, float half_width, float side) {
  const Vec3 to_eye = pen.view.eye() - pose.at(0, side * half_width, 0.5F);
  return (to_eye.x * -pose.ahead.y + to_eye.y * pose.ahead.x) * side > 0;
}

void flank_quad(const Pen& pen, const Pose& pose, float side, float half_width, float x0, float x1, float z0, float z1,
                Rgb color, const Finish& finish) {
  const float y = side * half_width;
  if (side < 0) std::swap(x0, x1);
  pen.quad(pose.at(x1, y, z0), pose.at(x0, y, z0), pose.at(x0, y, z1), pose.at(x1, y, z1), color, finish);
}

void draw_tyres(const Pen& pen, const Pose& pose, const WheelSpec& wheel) {
  const Rgb tyre = gray(26);
  const Vec3 ahead{pose.ahead.x * wheel.radius_m, pose.ahead.y * wheel.radius_m, 0};
  const Vec3 up{0, 0, wheel.radius_m};
  for (const float side : {1.0F, -1.0F}) {
    const float outer = side * wheel.outer_m, inner = side * (wheel.outer_m - wheel.tyre_m);
    pen.disc(pose.at(wheel.x_m, inner, wheel.radius_m), ahead, up, tyre);
    pen.disc(pose.at(wheel.x_m, outer, wheel.radius_m), ahead, up, tyre);
    pen.quad(pose.at(wheel.x_m, outer, 0.01F), pose.at(wheel.x_m, inner, 0.01F),
             pose.at(wheel.x_m, inner, wheel.radius_m * 1.8F), pose.at(wheel.x_m, outer, wheel.radius_m * 1.8F), tyre,
             {.both_sides = true});
  }
}

void draw_wheel_faces(const Pen& pen, const Pose& pose, const WheelSpec& wheel, bool arch) {
  const Vec3 ahead{pose.ahead.x, pose.ahead.y, 0};
  const Vec3 up{0, 0, 1};
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, wheel.outer_m, side)) continue;
    const Vec3 hub = pose.at(wheel.x_m, side * wheel.outer_m, wheel.radius_m);
    const float r = wheel.radius_m;
    if (arch) pen.disc(hub + up * (r * 0.12F), ahead * (r * 1.17F), up * (r * 1.12F), gray(16));
    pen.disc(hub, ahead * r, up * r, gray(30));
    if (pen.view.px_per_m(hub) * r < 2) continue;
    pen.disc(hub, ahead * (r * 0.66F), up * (r * 0.66F), wheel.rim);
    if (pen.view.px_per_m(hub) * r < 6) continue;
    for (int i = 0; i < 5; ++i) {  // gaps between the spokes
      const Vec2 d = direction(wheel.turn + static_cast<float>(i) * 0.2F);
      pen.disc(hub + (ahead * d.x + up * d.y) * (r * 0.42F), ahead * (r * 0.13F), up * (r * 0.13F), wheel.rim * 0.35F);
    }
    pen.disc(hub, ahead * (r * 0.14F), up * (r * 0.14F), wheel.rim * 0.7F);
  }
}

PlateMark draw_plate(const Pen& pen, const Pose& pose, const Plate& plate, float end, float x_m, float z_m) {
  constexpr float kHalfWidth_m = 0.26F, kHalfHeight_m = 0.065F;  // 520 mm long as in Europe, a little taller
  constexpr float kLeastCosine = 0.3F;                           // more oblique than this nobody reads it
  constexpr float kTextFrom_px = 5;                              // smaller plates are a plain patch
  const float x = end * (x_m + 0.015F), left = -end * kHalfWidth_m;
  const Vec3 corners[4] = {pose.at(x, left, z_m + kHalfHeight_m), pose.at(x, -left, z_m + kHalfHeight_m),
                           pose.at(x, -left, z_m - kHalfHeight_m), pose.at(x, left, z_m - kHalfHeight_m)};
  PlateMark mark;
  const Vec3 to_eye = normalised(pen.view.eye() - corners[0]);
  const float cosine_seen = (to_eye.x * pose.ahead.x + to_eye.y * pose.ahead.y) * end;
  if (cosine_seen <= 0.02F || pen.view.depth_m(corners[0]) < View::kNear_m ||
      pen.view.depth_m(corners[1]) < View::kNear_m)
    return mark;
  mark.bounds = {1e9F, 1e9F, -1e9F, -1e9F};
  for (const Vec3 p : corners) mark.bounds.include(pen.view.project(p));
  mark.facing = cosine_seen >= kLeastCosine;
  const float lift = pen.light.night ? 1.5F : 1;  // plates are lit or reflect at night
  const Finish finish{.both_sides = true};
  pen.patch(corners, -0.04F, 1.04F, -0.12F, 1.12F, gray(40), finish);
  pen.patch(corners, 0, 1, 0, 1, plate.background * lift, finish);
  if (mark.bounds.y1 - mark.bounds.y0 >= kTextFrom_px)
    draw_text(pen, corners, std::string_view(plate.text.data()), plate.ink, finish);
  return mark;
}

void lamp_glows(const Pen& pen, const Pose& pose, float x_m, float y_m, float z_m, float end, Rgb color,
                float radius_m) {
  for (const float side : {1.0F, -1.0F}) {
    const Vec3 at = pose.at(end * x_m, side * y_m, z_m);
    const Vec3 to_eye = normalised(pen.view.eye() - at);
    const float facing = (to_eye.x * pose.ahead.x + to_eye.y * pose.ahead.y) * end;
    if (facing > 0.1F) pen.glow(at, radius_m * (0.5F + facing), color, (pen.light.night ? 0.8F : 0.35F) * facing);
  }
}

}  // namespace wayside::drivers::synthetic
