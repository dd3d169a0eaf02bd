// SPDX-License-Identifier: Apache-2.0
// Projection and shaded three-dimensional shapes.
#include "drivers/camera/synthetic/pen.h"

#include <algorithm>
#include <array>

namespace wayside::drivers::synthetic {

View::View(const Setup& setup)
    : eye_{0, setup.y_m, setup.height_m},
      focal_px_(setup.focal * static_cast<float>(setup.width_px)),
      center_px_{static_cast<float>(setup.width_px) * 0.5F, static_cast<float>(setup.height_px) * 0.5F},
      width_px_(static_cast<float>(setup.width_px)),
      height_px_(static_cast<float>(setup.height_px)) {
  const Vec2 heading = direction(setup.yaw_turns);
  const Vec2 tilt = direction(setup.tilt_turns);
  forward_ = {heading.x * tilt.x, heading.y * tilt.x, -tilt.y};
  right_ = {heading.y, -heading.x, 0};
  up_ = {heading.x * tilt.y, heading.y * tilt.y, tilt.x};
}

Vec2 View::project(Vec3 p) const {
  const Vec3 d = p - eye_;
  const float scale = focal_px_ / dot(d, forward_);
  return {center_px_.x + scale * dot(d, right_), center_px_.y - scale * dot(d, up_)};
}

float View::px_per_m(Vec3 p) const { return focal_px_ / std::max(depth_m(p), kNear_m); }

bool View::sees(Vec3 p, float radius_m) const {
  const float depth = depth_m(p);
  if (depth + radius_m < kNear_m) return false;
  if (depth < radius_m + 1) return true;
  const Vec2 at = project(p);
  const float radius = radius_m * focal_px_ / depth * 1.3F;
  return at.x + radius > 0 && at.x - radius < width_px_ && at.y + radius > 0 && at.y - radius < height_px_;
}

bool View::ground_row(int py, Vec2& base_m, Vec2& step_m, float& depth_m) const {
  const Vec3 ray = forward_ + up_ * ((center_px_.y - static_cast<float>(py) - 0.5F) / focal_px_);
  if (ray.z > -1e-3F) return false;
  depth_m = eye_.z / -ray.z;
  step_m = Vec2{right_.x, right_.y} * (depth_m / focal_px_);
  base_m = Vec2{eye_.x, eye_.y} + Vec2{ray.x, ray.y} * depth_m - step_m * (center_px_.x - 0.5F);
  return true;
}

float View::horizon_px() const { return center_px_.y + focal_px_ * forward_.z / up_.z; }

Rgb Pen::hazed(Rgb color, float depth_m) const {
  return mixed(color, light.haze, std::clamp(depth_m * light.haze_per_m, 0.0F, 0.75F));
}

Rgb Pen::lit(Rgb color, Vec3 normal, float depth_m) const {
  const float facing = std::max(0.0F, dot(normal, light.to_sun));
  const float sky = 0.88F + 0.12F * normal.z;  // what looks up gets more of the sky
  return hazed(color * (light.ambient * sky + light.sun * facing), depth_m);
}

std::size_t Pen::outline(std::span<const Vec3> corners, std::span<Vec2> to) const {
  std::size_t n = 0;
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const Vec3 a = corners[i];
    const Vec3 b = corners[i + 1 == corners.size() ? 0 : i + 1];
    const float da = view.depth_m(a) - View::kNear_m;
    const float db = view.depth_m(b) - View::kNear_m;
    if (da >= 0) to[n++] = view.project(a);
    if ((da >= 0) != (db >= 0)) to[n++] = view.project(lerp(a, b, std::min(1.0F, da / (da - db) + 1e-5F)));
  }
  return n;
}

bool Pen::face(std::span<const Vec3> corners, Rgb color, const Finish& finish) const {
  Vec3 center{};
  for (const Vec3 p : corners) center = center + p;
  center = center * (1.0F / static_cast<float>(corners.size()));
  Vec3 normal{};  // Newell's sum: robust for polygons that are not quite flat
  for (std::size_t i = 0; i < corners.size(); ++i)
    normal = normal + cross(corners[i] - center, corners[i + 1 == corners.size() ? 0 : i + 1] - center);
  normal = normalised(normal);
  const bool front = dot(view.eye() - center, normal) > 0;
  if (!front && !finish.both_sides) return false;
  if (!front) normal = normal * -1.0F;
  std::array<Vec2, kMaxCorners + 2> points;
  const std::size_t n = outline(corners, points);
  if (n < 3) return front;
  Paint paint;
  const float depth = view.depth_m(center);
  paint.color = finish.glow ? color : lit(color, normal, depth);
  if (finish.mirror > 0) paint.color = mixed(paint.color, light.sky_bottom * 0.9F, finish.mirror);
  if (finish.gloss != 0) {
    paint.gradient = true;
    Vec2 low = points[0], high = points[0];
    for (std::size_t i = 0; i < n; ++i) {
      if (points[i].y < high.y) high = points[i];
      if (points[i].y > low.y) low = points[i];
    }
    paint.from = {0, high.y};
    paint.to = {0, low.y};
    const float bright = (light.ambient.g + light.sun.g) * finish.gloss;
    paint.end_color = paint.color + gray(-bright);
    paint.color = paint.color + gray(bright);
  }
  paint.grain = finish.grain;
  paint.grain_origin = grain_origin;
  canvas.fill({points.data(), n}, paint);
  return front;
}

bool Pen::quad(Vec3 a, Vec3 b, Vec3 c, Vec3 d, Rgb color, const Finish& finish) const {
  const Vec3 corners[] = {a, b, c, d};
  return face(corners, color, finish);
}

bool Pen::patch(const Vec3 (&q)[4], float u0, float u1, float v0, float v1, Rgb color, const Finish& finish) const {
  const auto at = [&](float u, float v) { return lerp(lerp(q[0], q[1], u), lerp(q[3], q[2], u), v); };
  return quad(at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1), color, finish);
}

void Pen::limb(Vec3 a, float radius_a_m, Vec3 b, float radius_b_m, Rgb color, float grain) const {
  const float depth = view.depth_m(a);
  if (depth < View::kNear_m || view.depth_m(b) < View::kNear_m) return;
  const Vec2 pa = view.project(a);
  const Vec2 pb = view.project(b);
  const float ra = std::max(0.35F, radius_a_m * view.px_per_m(a));
  const float rb = std::max(0.35F, radius_b_m * view.px_per_m(b));
  Paint paint;
  const Rgb base = hazed(color * (light.ambient + light.sun * 0.45F), depth);
  paint.color = base;
  const Vec2 axis = pb - pa;
  const float size = length(axis);
  if (std::max(ra, rb) > 1.2F && size > 0.5F) {
    Vec2 side = Vec2{-axis.y, axis.x} * (1.0F / size);
    if (side.x * dot(light.to_sun, view.right()) - side.y * 0.7F < 0) side = side * -1.0F;  // towards the light
    paint.gradient = true;
    const Vec2 middle = (pa + pb) * 0.5F;
    const float r = std::max(ra, rb);
    paint.from = middle + side * r;
    paint.to = middle - side * r;
    const float contrast = 0.12F + 0.3F * light.sun.g;
    paint.color = base * (1 + contrast * 0.6F);
    paint.end_color = base * (1 - contrast);
  }
  paint.grain = grain;
  paint.grain_origin = grain_origin;
  canvas.capsule(pa, ra, pb, rb, paint);
}

void Pen::ball(Vec3 center, float radius_m, Rgb color, float squash, float grain) const {
  const float depth = view.depth_m(center);
  if (depth < View::kNear_m) return;
  const Vec2 at = view.project(center);
  const float radius = std::max(0.4F, radius_m * view.px_per_m(center));
  Paint paint;
  const Rgb base = hazed(color * (light.ambient + light.sun * 0.5F), depth);
  paint.color = base * (1.06F + 0.16F * light.sun.g);
  paint.end_color = base * (0.92F - 0.3F * light.sun.g);
  paint.gradient = radius > 1.2F;
  const float sun_side = dot(light.to_sun, view.right());
  paint.from = at + Vec2{sun_side * radius, -radius * 0.8F};
  paint.to = at - Vec2{sun_side * radius, -radius * 0.8F};
  paint.grain = grain;
  paint.grain_origin = grain_origin;
  canvas.ellipse(at, {radius, radius * squash}, paint);
}

void Pen::disc(Vec3 center, Vec3 axis_u, Vec3 axis_v, Rgb color, float alpha) const {
  const float radius_px = length(axis_u) * view.px_per_m(center);
  const int corners = radius_px < 3 ? 8 : radius_px < 12 ? 12 : 20;
  std::array<Vec2, 20> points;
  for (int i = 0; i < corners; ++i) {
    const Vec2 d = direction((static_cast<float>(i) + 0.5F) / static_cast<float>(corners));
    const Vec3 p = center + axis_u * d.x + axis_v * d.y;
    if (view.depth_m(p) < View::kNear_m) return;
    points[static_cast<std::size_t>(i)] = view.project(p);
  }
  Paint paint;
  paint.color = lit(color, normalised(cross(axis_u, axis_v)), view.depth_m(center));
  paint.alpha = alpha;
  canvas.fill({points.data(), static_cast<std::size_t>(corners)}, paint);
}

void Pen::glow(Vec3 center, float radius_m, Rgb color, float strength) const {
  if (view.depth_m(center) < View::kNear_m) return;
  const Vec2 at = view.project(center);
  const float radius = std::max(1.0F, radius_m * view.px_per_m(center));
  Paint paint;
  paint.blend = Blend::add;
  paint.color = color;
  for (const float ring : {1.0F, 0.7F, 0.45F, 0.25F}) {
    paint.alpha = strength * 0.25F;
    canvas.ellipse(at, {radius * ring, radius * ring}, paint);
  }
}

void Pen::cast_shadow(std::span<const Vec3> points) const {
  constexpr std::size_t kMost = 16;
  if (light.shadow <= 0 || light.to_sun.z < 0.05F || points.size() > kMost) return;
  std::array<Vec2, kMost> flat;
  std::size_t n = 0;
  for (const Vec3 p : points)
    flat[n++] = {p.x - light.to_sun.x * p.z / light.to_sun.z, p.y - light.to_sun.y * p.z / light.to_sun.z};
  // Convex hull by Andrew's monotone chain.
  std::sort(flat.begin(), flat.begin() + static_cast<std::ptrdiff_t>(n),
            [](Vec2 a, Vec2 b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  std::array<Vec3, 2 * kMost> hull;
  std::size_t size = 0;
  const auto turns_right = [&](Vec2 p) {
    const Vec3 o = hull[size - 2], a = hull[size - 1];
    return (a.x - o.x) * (p.y - o.y) - (a.y - o.y) * (p.x - o.x) <= 0;
  };
  const auto chain = [&](std::size_t keep, Vec2 p) {
    while (size >= keep + 2 && turns_right(p)) --size;
    hull[size++] = {p.x, p.y, 0};
  };
  for (std::size_t i = 0; i < n; ++i) chain(0, flat[i]);
  const std::size_t lower = size - 1;
  for (std::size_t i = n - 1; i-- > 0;) chain(lower, flat[i]);
  if (size < 4) return;
  std::array<Vec2, 2 * kMost + 2> drawn;
  const std::size_t corners = outline({hull.data(), size - 1}, drawn);
  Paint paint;
  paint.blend = Blend::shadow;
  paint.color = light.sky_top * 0.08F;
  paint.alpha = light.shadow;
  canvas.fill({drawn.data(), corners}, paint);
}

void Pen::contact_shadow(const Pose& pose, float half_length_m, float half_width_m, float strength) const {
  Paint paint;
  paint.blend = Blend::shadow;
  paint.alpha = strength / 3;
  const float soft = std::min(0.1F, half_width_m * 0.6F);
  for (const float margin : {2 * soft, soft, -0.5F * soft}) {
    const float l = half_length_m + margin, w = half_width_m + margin;
    const Vec3 corners[] = {pose.at(l, w * 0.8F, 0),   pose.at(l * 0.92F, w, 0),  pose.at(-l * 0.92F, w, 0),
                            pose.at(-l, w * 0.8F, 0),  pose.at(-l, -w * 0.8F, 0), pose.at(-l * 0.92F, -w, 0),
                            pose.at(l * 0.92F, -w, 0), pose.at(l, -w * 0.8F, 0)};
    std::array<Vec2, 10> points;
    const std::size_t n = outline(corners, points);
    canvas.fill({points.data(), n}, paint);
  }
}

}  // namespace wayside::drivers::synthetic
