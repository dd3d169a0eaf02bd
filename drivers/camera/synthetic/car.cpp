// SPDX-License-Identifier: Apache-2.0
// A car is a lower hull with bumpers and lamps and a glass house on top.
#include "drivers/camera/synthetic/car.h"

namespace wayside::drivers::synthetic {
namespace {

/// Metres; x positions are fractions of the length, measured from the middle, ahead positive.
struct Body {
  float length, width, height, clearance, belt, hood, tail, wheel;
  float cowl, roof_front, roof_rear, deck;
};
constexpr Body kBodies[] = {
    {4.55F, 1.80F, 1.45F, 0.20F, 0.92F, 0.74F, 0.93F, 0.32F, 0.215F, 0.075F, -0.185F, -0.315F},  // saloon
    {4.05F, 1.76F, 1.48F, 0.20F, 0.94F, 0.76F, 0.90F, 0.31F, 0.235F, 0.095F, -0.330F, -0.440F},  // hatchback
    {4.65F, 1.82F, 1.48F, 0.20F, 0.93F, 0.75F, 0.92F, 0.32F, 0.215F, 0.085F, -0.370F, -0.455F},  // estate
    {4.55F, 1.88F, 1.70F, 0.28F, 1.08F, 0.92F, 1.02F, 0.37F, 0.225F, 0.110F, -0.350F, -0.440F},  // SUV
    {4.35F, 1.82F, 1.30F, 0.16F, 0.84F, 0.66F, 0.88F, 0.33F, 0.160F, 0.010F, -0.150F, -0.370F},  // coupe
    {4.70F, 1.86F, 1.76F, 0.22F, 1.02F, 0.84F, 0.98F, 0.33F, 0.310F, 0.130F, -0.400F, -0.465F},  // people carrier
    {3.55F, 1.64F, 1.50F, 0.20F, 0.95F, 0.80F, 0.90F, 0.29F, 0.275F, 0.140F, -0.340F, -0.440F},  // city car
};

struct Shape {
  std::array<ProfilePoint, 8> lower;
  std::array<ProfilePoint, 4> house;
  float half, length, wheel_x;
};

Shape shape_of(const CarLook& look) {
  const Body& b = kBodies[look.body];
  const float l = b.length * look.scale, w = b.width * 0.5F * look.scale;
  Shape s;
  s.length = l;
  s.half = w;
  s.wheel_x = l * 0.295F;
  const float nose = l * 0.5F;
  s.lower = {{{nose - 0.08F, b.clearance, w * 0.88F},
              {nose, b.clearance + 0.28F, w * 0.9F},
              {nose - 0.14F, b.hood, w * 0.9F},
              {l * b.cowl, b.belt, w * 0.98F},
              {l * b.deck, b.belt + 0.03F, w * 0.97F},
              {-nose + 0.07F, b.tail, w * 0.9F},
              {-nose, b.clearance + 0.3F, w * 0.9F},
              {-nose + 0.1F, b.clearance + 0.04F, w * 0.88F}}};
  s.house = {{{l * b.cowl - 0.03F, b.belt - 0.02F, w * 0.92F},
              {l * b.roof_front, b.height, w * 0.72F},
              {l * b.roof_rear, b.height - 0.02F, w * 0.72F},
              {l * b.deck + 0.04F, b.belt, w * 0.9F}}};
  return s;
}

void draw_ends(const Pen& pen, const CarLook& look, const Pose& pose, const Shape& s, bool lamps_on) {
  Vec3 q[4];
  const Rgb lens = lamps_on ? Rgb{255, 250, 225} : Rgb{205, 212, 218};
  const Rgb tail = lamps_on ? Rgb{255, 50, 40} : Rgb{150, 20, 24};
  const Finish lamp{.glow = lamps_on};
  strip_corners(pose, s.lower, 0, q);  // front bumper
  pen.patch(q, 0.15F, 0.85F, 0.1F, 0.6F, gray(28));
  pen.patch(q, 0, 1, 0, 0.14F, gray(24));
  strip_corners(pose, s.lower, 1, q);  // lamps and grille
  pen.patch(q, 0.01F, 0.25F, 0.35F, 0.95F, lens, lamp);
  pen.patch(q, 0.75F, 0.99F, 0.35F, 0.95F, lens, lamp);
  pen.patch(q, 0.3F, 0.7F, 0.3F, 0.85F, gray(24));
  pen.patch(q, 0.46F, 0.54F, 0.42F, 0.75F, gray(200));
  strip_corners(pose, s.lower, 5, q);  // tail: v runs downwards here
  pen.patch(q, 0.0F, 0.22F, 0.08F, 0.62F, tail, lamp);
  pen.patch(q, 0.78F, 1.0F, 0.08F, 0.62F, tail, lamp);
  if (look.sporty) pen.patch(q, 0.22F, 0.78F, 0.2F, 0.3F, gray(180));
  strip_corners(pose, s.lower, 6, q);
  pen.patch(q, 0, 1, 0.45F, 1, gray(36));
}

void draw_flanks(const Pen& pen, const CarLook& look, const Pose& pose, const Shape& s) {
  const Body& b = kBodies[look.body];
  const Rgb seam = look.paint * 0.55F;
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, s.half, side)) continue;
    const float y = s.half * 0.975F;
    flank_quad(pen, pose, side, y, -s.length * 0.42F, s.length * 0.42F, b.clearance, b.clearance + 0.1F, gray(30));
    if (pen.view.px_per_m(pose.origin) < 14) continue;
    const float door0 = s.length * b.cowl - 0.1F;
    const float door1 = -0.35F;
    for (const float x : {door0, door1, door1 - 0.85F})
      if (x > -s.wheel_x + 0.05F)
        flank_quad(pen, pose, side, y, x, x + 0.03F, b.clearance + 0.12F, b.belt - 0.04F, seam);
    flank_quad(pen, pose, side, y + 0.01F, door1 + 0.1F, door1 + 0.27F, b.belt - 0.14F, b.belt - 0.1F, seam);
    flank_quad(pen, pose, side, y + 0.01F, door1 - 0.75F, door1 - 0.58F, b.belt - 0.14F, b.belt - 0.1F, seam);
    flank_quad(pen, pose, side, y, s.length * 0.43F, s.length * 0.475F, b.hood - 0.16F, b.hood - 0.04F, gray(190));
    flank_quad(pen, pose, side, y * 0.98F, -s.length * 0.48F, -s.length * 0.43F, b.tail - 0.25F, b.tail - 0.05F,
               {150, 20, 24});
  }
}

void draw_house(const Pen& pen, const CarLook& look, const Pose& pose, const Shape& s) {
  const Finish gloss{.gloss = 10};
  const Finish reflection{.gloss = 30, .mirror = look.mirror};
  Vec3 q[4];
  for (std::size_t i = 0; i < 3; ++i) {
    strip_corners(pose, s.house, i, q);
    pen.face(q, i == 1 ? look.roof : look.paint, gloss);
    if (i == 0) pen.patch(q, 0.06F, 0.94F, 0.03F, 0.93F, look.glass, reflection);
    if (i == 2) pen.patch(q, 0.08F, 0.92F, 0.1F, 0.88F, look.glass * 0.85F, reflection);
  }
  const auto& h = s.house;
  for (const float side : {1.0F, -1.0F}) {
    // Corners rear bottom, front bottom, front top, rear top; mirrored on the left so that they turn the same way.
    Vec3 flank[4] = {pose.at(h[3].x, side * h[3].half_width, h[3].z), pose.at(h[0].x, side * h[0].half_width, h[0].z),
                     pose.at(h[1].x, side * h[1].half_width, h[1].z), pose.at(h[2].x, side * h[2].half_width, h[2].z)};
    const bool left = side > 0;
    if (left) {
      std::swap(flank[0], flank[1]);
      std::swap(flank[2], flank[3]);
    }
    if (!pen.face(flank, look.paint, gloss)) continue;
    const auto window = [&](float from, float to) {  // fractions from the rear end
      pen.patch(flank, left ? 1 - to : from, left ? 1 - from : to, 0.08F, 0.88F, look.glass, reflection);
    };
    window(0.05F, 0.2F);
    window(0.24F, 0.55F);
    window(0.585F, 0.95F);
    const Vec3 mirror = pose.at(h[0].x - 0.25F, side * (s.half + 0.1F), h[0].z + 0.08F);
    pen.limb(mirror, 0.07F, mirror + Vec3{0, 0, 0.03F}, 0.07F, look.paint * 0.8F);
  }
}

}  // namespace

float CarLook::length_m() const { return kBodies[body].length * scale; }
float CarLook::width_m() const { return kBodies[body].width * scale; }
float CarLook::height_m() const { return kBodies[body].height; }

Rgb car_color(Random& random) {
  const float kind = random.unit();
  if (kind < 0.22F) return gray(random.range(205, 240));
  if (kind < 0.42F) return gray(random.range(24, 60)) + Rgb{0, 0, random.range(0, 10)};
  if (kind < 0.66F) return gray(random.range(90, 185)) + Rgb{random.range(-6, 4), 0, random.range(-4, 8)};
  static constexpr Rgb kColors[] = {{170, 28, 32},   {28, 60, 140},  {20, 36, 80},   {50, 110, 170},
                                    {30, 90, 60},    {200, 160, 40}, {190, 80, 30},  {110, 70, 45},
                                    {150, 140, 110}, {100, 30, 45},  {120, 170, 190}};
  return random.pick(kColors) * random.range(0.8F, 1.2F);
}

CarLook make_car(std::uint64_t seed, std::uint64_t vehicle) {
  Random random(mix(seed, 0xCA4));
  CarLook look;
  look.body = random.below(static_cast<int>(std::size(kBodies)));
  look.scale = random.range(0.95F, 1.06F);
  look.paint = car_color(random);
  look.roof = random.chance(0.15F) ? gray(random.range(20, 230)) : look.paint;
  look.rim = gray(random.range(60, 210));
  look.glass = Rgb{40, 48, 56} * random.range(0.5F, 1.7F);
  look.mirror = random.range(0.04F, 0.34F);
  look.rack = random.chance(0.1F);
  look.taxi = random.chance(0.04F);
  look.sporty = random.chance(0.3F);
  if (look.taxi) look.paint = look.roof = {235, 190, 50};
  look.plate = make_plate(vehicle);
  return look;
}

PlateMark draw_car(const Pen& pen, const CarLook& look, const Pose& pose, float turn, bool parked) {
  const Shape s = shape_of(look);
  const Body& b = kBodies[look.body];
  const WheelSpec front{s.wheel_x + 0.06F, s.half * 0.985F, b.wheel, 0.2F, turn, look.rim};
  const WheelSpec rear{-s.wheel_x, s.half * 0.985F, b.wheel, 0.2F, turn, look.rim};
  draw_tyres(pen, pose, front);
  draw_tyres(pen, pose, rear);
  draw_hull(pen, pose, s.lower, look.paint, {.gloss = 16, .grain = 2});
  const bool lamps_on = !parked && (pen.light.lamps || pen.light.night);
  draw_ends(pen, look, pose, s, lamps_on);
  draw_flanks(pen, look, pose, s);
  draw_wheel_faces(pen, pose, front, true);
  draw_wheel_faces(pen, pose, rear, true);
  const PlateMark at_front = draw_plate(pen, pose, look.plate, 1, s.length * 0.5F, b.clearance + 0.24F);
  const PlateMark at_rear = draw_plate(pen, pose, look.plate, -1, s.length * 0.5F, b.clearance + 0.34F);
  draw_house(pen, look, pose, s);
  if (look.rack)
    for (const float side : {0.5F, -0.5F})
      pen.limb(pose.at(s.house[1].x, side, b.height + 0.06F), 0.025F, pose.at(s.house[2].x, side, b.height + 0.06F),
               0.025F, gray(60));
  if (look.taxi) {
    const Vec3 sign = pose.at(0, 0, b.height + 0.1F);
    const Vec3 across{-pose.ahead.y * 0.16F, pose.ahead.x * 0.16F, 0};
    pen.limb(sign - across, 0.08F, sign + across, 0.08F, {250, 240, 180});
  }
  if (lamps_on) {
    lamp_glows(pen, pose, s.length * 0.48F, s.half * 0.7F, b.hood - 0.1F, 1, {255, 240, 200}, 0.35F);
    lamp_glows(pen, pose, s.length * 0.48F, s.half * 0.75F, b.tail - 0.12F, -1, {200, 30, 20}, 0.22F);
  }
  return at_front.facing ? at_front : at_rear;
}

void cast_car_shadow(const Pen& pen, const CarLook& look, const Pose& pose) {
  const Shape s = shape_of(look);
  std::array<Vec3, 16> points;
  std::size_t n = 0;
  for (const float side : {1.0F, -1.0F}) {
    for (const std::size_t i : {1U, 3U, 4U, 6U}) {
      const ProfilePoint& p = s.lower[i];
      points[n++] = pose.at(p.x, side * p.half_width, i == 1 || i == 6 ? 0.05F : p.z);
    }
    for (const std::size_t i : {1U, 2U})
      points[n++] = pose.at(s.house[i].x, side * s.house[i].half_width, s.house[i].z);
  }
  pen.cast_shadow({points.data(), n});
  pen.contact_shadow(pose, s.length * 0.5F, s.half, 0.75F);
}

}  // namespace wayside::drivers::synthetic
