// SPDX-License-Identifier: Apache-2.0
// A truck is a chassis with wheels, a cab hull and a load; a bus and a van are one hull with windows.
#include "drivers/camera/synthetic/truck.h"

#include <string_view>

#include "drivers/camera/synthetic/car.h"
#include "drivers/camera/synthetic/font.h"

namespace wayside::drivers::synthetic {
namespace {

constexpr float kFloor_m = 0.95F;      // height of a lorry's load floor
constexpr float kCabLength_m = 2.05F;  // a short European cab

void lamps(const Pen& pen, std::span<const ProfilePoint> hull, const Pose& pose, std::size_t front, bool on) {
  Vec3 q[4];
  strip_corners(pose, hull, front, q);
  const Finish finish{.glow = on};
  const Rgb lens = on ? Rgb{255, 250, 225} : Rgb{200, 206, 212};
  pen.patch(q, 0.04F, 0.2F, 0.2F, 0.6F, lens, finish);
  pen.patch(q, 0.8F, 0.96F, 0.2F, 0.6F, lens, finish);
  pen.patch(q, 0.24F, 0.76F, 0.25F, 0.8F, gray(30));
}

void tail_lamps(const Pen& pen, const Pose& pose, float x, float half_width, float z, bool on) {
  for (const float side : {1.0F, -1.0F}) {
    const float y0 = side * half_width * 0.96F, y1 = side * half_width * 0.72F;
    const float left = side > 0 ? y0 : y1, right = side > 0 ? y1 : y0;
    pen.quad(pose.at(x, left, z), pose.at(x, right, z), pose.at(x, right, z + 0.22F), pose.at(x, left, z + 0.22F),
             on ? Rgb{255, 60, 45} : Rgb{150, 22, 24}, {.glow = on});
  }
}

/// A box with upright walls from x1 (rear) to x0 (front).
void draw_box(const Pen& pen, const Pose& pose, float x0, float x1, float z0, float z1, float half_width, Rgb color,
              const Finish& finish) {
  const ProfilePoint box[] = {{x0, z0, half_width}, {x0, z1, half_width}, {x1, z1, half_width}, {x1, z0, half_width}};
  draw_hull(pen, pose, box, color, finish);
}

void decorate(const Pen& pen, const TruckLook& look, const Pose& pose, float x0, float x1, float z0, float z1) {
  static constexpr std::string_view kNames[] = {"WAYSIDE", "CARGO", "FRESH", "MOVE 24", "EXPRESS"};
  const float half = look.width_m * 0.5F + 0.01F;
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, half, side)) continue;
    const float h = z1 - z0;
    if (look.decoration == 1) flank_quad(pen, pose, side, half, x1, x0, z0 + h * 0.3F, z0 + h * 0.5F, look.trim);
    if (look.decoration == 3) flank_quad(pen, pose, side, half, x1, x0, z0, z0 + h * 0.45F, look.trim);
    if (look.decoration != 2 || pen.view.px_per_m(pose.origin) < 8) continue;
    const float from = x1 + (x0 - x1) * 0.12F, to = x1 + (x0 - x1) * 0.88F;
    const float left = side > 0 ? to : from, right = side > 0 ? from : to;
    const Vec3 q[4] = {pose.at(left, side * half, z0 + h * 0.7F), pose.at(right, side * half, z0 + h * 0.7F),
                       pose.at(right, side * half, z0 + h * 0.35F), pose.at(left, side * half, z0 + h * 0.35F)};
    draw_text(pen, q, kNames[static_cast<unsigned char>(look.plate.text[3]) % 5], look.trim, {.both_sides = true});
  }
}

void draw_cab(const Pen& pen, const TruckLook& look, const Pose& pose, float front, bool on) {
  const float half = look.width_m * 0.48F, top = look.kind == TruckKind::articulated ? 3.3F : 2.65F;
  const ProfilePoint cab[] = {{front - 0.03F, 0.4F, half},       {front, 0.95F, half},
                              {front - 0.02F, 1.5F, half},       {front - 0.14F, 2.4F, half * 0.97F},
                              {front - 0.4F, top, half * 0.94F}, {front - kCabLength_m, top, half * 0.94F},
                              {front - kCabLength_m, 0.6F, half}};
  draw_hull(pen, pose, cab, look.cab, {.gloss = 12, .grain = 2});
  Vec3 q[4];
  strip_corners(pose, cab, 2, q);
  pen.patch(q, 0.05F, 0.95F, 0.05F, 0.92F, look.glass, {.gloss = 25, .mirror = 0.18F});
  lamps(pen, cab, pose, 0, on);
  strip_corners(pose, cab, 1, q);
  pen.patch(q, 0.2F, 0.8F, 0.1F, 0.8F, gray(34));
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, half, side)) continue;
    flank_quad(pen, pose, side, half + 0.005F, front - 1.45F, front - 0.22F, 1.55F, 2.3F, look.glass,
               {.gloss = 25, .mirror = 0.18F});
    flank_quad(pen, pose, side, half + 0.005F, front - 1.55F, front - 1.5F, 0.7F, 2.4F, look.cab * 0.55F);
    pen.limb(pose.at(front + 0.1F, side * (half + 0.16F), 1.7F), 0.09F,
             pose.at(front + 0.1F, side * (half + 0.16F), 2.2F), 0.09F, gray(30));
  }
}

void draw_load(const Pen& pen, const TruckLook& look, const Pose& pose, float front, float rear) {
  const float half = look.width_m * 0.5F;
  if (look.kind == TruckKind::tanker) {
    const float mid = (kFloor_m + look.height_m) * 0.5F, r = (look.height_m - kFloor_m) * 0.5F;
    draw_box(pen, pose, front, rear, mid - r * 0.9F, mid - r * 0.3F, half * 0.8F, look.body * 0.8F, {.gloss = 10});
    draw_box(pen, pose, front, rear, mid - r * 0.3F, mid + r * 0.5F, half, look.body, {.gloss = 40});
    draw_box(pen, pose, front - 0.2F, rear + 0.2F, mid + r * 0.5F, mid + r, half * 0.7F, look.body * 1.1F,
             {.gloss = 8});
    return;
  }
  const float top = look.kind == TruckKind::tipper ? kFloor_m + (look.height_m - kFloor_m) * 0.6F : look.height_m;
  draw_box(pen, pose, front, rear, kFloor_m, top, half, look.body, {.gloss = 8, .grain = 2});
  decorate(pen, look, pose, front, rear, kFloor_m, top);
  const float half_in = half * 0.98F;
  if (look.kind == TruckKind::tipper) {
    pen.quad(pose.at(rear + 0.1F, -half * 0.93F, top + 0.01F), pose.at(front - 0.1F, -half * 0.93F, top + 0.01F),
             pose.at(front - 0.1F, half * 0.93F, top + 0.01F), pose.at(rear + 0.1F, half * 0.93F, top + 0.01F),
             {120, 100, 75}, {.grain = 14});
    for (const float side : {1.0F, -1.0F})
      for (float x = rear + 0.3F; x < front; x += 0.8F)
        flank_quad(pen, pose, side, half + 0.01F, x, x + 0.1F, kFloor_m, top, look.body * 0.7F);
  }
  pen.quad(pose.at(rear - 0.01F, 0.02F, kFloor_m + 0.1F), pose.at(rear - 0.01F, -0.02F, kFloor_m + 0.1F),
           pose.at(rear - 0.01F, -0.02F, top - 0.1F), pose.at(rear - 0.01F, 0.02F, top - 0.1F), look.body * 0.5F);
  pen.quad(pose.at(rear - 0.01F, half_in, kFloor_m - 0.25F), pose.at(rear - 0.01F, -half_in, kFloor_m - 0.25F),
           pose.at(rear - 0.01F, -half_in, kFloor_m), pose.at(rear - 0.01F, half_in, kFloor_m), gray(50));
}

PlateMark draw_lorry(const Pen& pen, const TruckLook& look, const Pose& pose, float turn, bool on) {
  const float front = look.length_m * 0.5F, rear = -front, half = look.width_m * 0.5F;
  const float load_front = front - kCabLength_m - (look.kind == TruckKind::articulated ? 0.7F : 0.15F);
  WheelSpec wheels[4] = {{front - 1.2F, half * 0.97F, 0.5F, 0.3F, turn}, {rear + 1.3F, half * 0.97F, 0.5F, 0.5F, turn}};
  int count = 2;
  if (look.length_m > 9) wheels[count++] = {rear + 2.45F, half * 0.97F, 0.5F, 0.5F, turn};
  if (look.kind == TruckKind::articulated) wheels[count++] = {front - 3.9F, half * 0.97F, 0.5F, 0.5F, turn};
  for (int i = 0; i < count; ++i) draw_tyres(pen, pose, wheels[i]);
  draw_box(pen, pose, front - 0.5F, rear + 0.2F, 0.5F, kFloor_m, half * 0.7F, gray(40), {});
  // The part that is nearer to the camera hides the other.
  const Vec3 to_eye = pen.view.eye() - pose.at(load_front, 0, 0);
  const bool from_ahead = to_eye.x * pose.ahead.x + to_eye.y * pose.ahead.y > 0;
  if (from_ahead) draw_load(pen, look, pose, load_front, rear);
  draw_cab(pen, look, pose, front, on);
  if (!from_ahead) draw_load(pen, look, pose, load_front, rear);
  for (const float side : {1.0F, -1.0F})
    flank_quad(pen, pose, side, half * 0.95F, rear + 2.2F, load_front - 1.2F, 0.45F, kFloor_m - 0.1F, gray(70));
  for (int i = 0; i < count; ++i) draw_wheel_faces(pen, pose, wheels[i], false);
  tail_lamps(pen, pose, rear - 0.02F, half, 0.7F, on);
  const PlateMark at_front = draw_plate(pen, pose, look.plate, 1, front, 0.55F);
  const PlateMark at_rear = draw_plate(pen, pose, look.plate, -1, front, 0.6F);
  return at_front.facing ? at_front : at_rear;
}

PlateMark draw_van(const Pen& pen, const TruckLook& look, const Pose& pose, float turn, bool on) {
  const float front = look.length_m * 0.5F, half = look.width_m * 0.5F, h = look.height_m;
  const ProfilePoint hull[] = {{front - 0.05F, 0.28F, half * 0.92F},     {front, 0.7F, half * 0.93F},
                               {front - 0.12F, 1.05F, half * 0.93F},     {front - 0.75F, 1.3F, half * 0.98F},
                               {front - 1.45F, h - 0.1F, half * 0.88F},  {front - 1.9F, h, half * 0.86F},
                               {-front + 0.1F, h - 0.02F, half * 0.86F}, {-front, 1.1F, half * 0.97F},
                               {-front + 0.04F, 0.35F, half * 0.95F}};
  const WheelSpec wheels[2] = {{front - 1.0F, half * 0.97F, 0.36F, 0.22F, turn},
                               {-front + 1.15F, half * 0.97F, 0.36F, 0.22F, turn}};
  for (const WheelSpec& w : wheels) draw_tyres(pen, pose, w);
  draw_hull(pen, pose, hull, look.body, {.gloss = 14, .grain = 2});
  Vec3 q[4];
  strip_corners(pose, hull, 3, q);
  pen.patch(q, 0.05F, 0.95F, 0.05F, 0.9F, look.glass, {.gloss = 28, .mirror = 0.18F});
  lamps(pen, hull, pose, 1, on);
  strip_corners(pose, hull, 0, q);
  pen.patch(q, 0, 1, 0, 0.5F, gray(34));
  strip_corners(pose, hull, 6, q);
  if (look.decoration != 1) {
    pen.patch(q, 0.1F, 0.46F, 0.15F, 0.8F, look.glass, {.gloss = 20, .mirror = 0.1F});
    pen.patch(q, 0.54F, 0.9F, 0.15F, 0.8F, look.glass, {.gloss = 20, .mirror = 0.1F});
  }
  pen.patch(q, 0.49F, 0.51F, 0, 1, look.body * 0.5F);
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, half, side)) continue;
    flank_quad(pen, pose, side, half * 0.95F, front - 1.95F, front - 1.2F, 1.32F, h - 0.35F, look.glass,
               {.gloss = 25, .mirror = 0.18F});
    flank_quad(pen, pose, side, half * 0.99F, front - 2.05F, front - 2.01F, 0.45F, h - 0.25F, look.body * 0.55F);
    flank_quad(pen, pose, side, half * 0.99F, front - 3.2F, front - 3.16F, 0.45F, h - 0.25F, look.body * 0.55F);
    flank_quad(pen, pose, side, half * 0.99F, -front + 0.05F, front - 0.3F, 0.3F, 0.48F, gray(40));
  }
  decorate(pen, look, pose, front - 2.2F, -front + 0.2F, 0.6F, h - 0.3F);
  for (const WheelSpec& w : wheels) draw_wheel_faces(pen, pose, w, true);
  tail_lamps(pen, pose, -front - 0.02F, half, 0.9F, on);
  const PlateMark at_front = draw_plate(pen, pose, look.plate, 1, front, 0.5F);
  const PlateMark at_rear = draw_plate(pen, pose, look.plate, -1, front, 0.65F);
  return at_front.facing ? at_front : at_rear;
}

PlateMark draw_bus(const Pen& pen, const TruckLook& look, const Pose& pose, float turn, bool on) {
  const float front = look.length_m * 0.5F, half = look.width_m * 0.5F, h = look.height_m;
  const ProfilePoint hull[] = {{front - 0.04F, 0.3F, half},
                               {front, 1.0F, half},
                               {front - 0.08F, h - 0.45F, half * 0.99F},
                               {front - 0.2F, h, half * 0.96F},
                               {-front + 0.1F, h, half * 0.96F},
                               {-front, 1.2F, half},
                               {-front + 0.05F, 0.35F, half}};
  const WheelSpec wheels[2] = {{front - 2.5F, half * 0.995F, 0.48F, 0.3F, turn},
                               {-front + 3.0F, half * 0.995F, 0.48F, 0.5F, turn}};
  for (const WheelSpec& w : wheels) draw_tyres(pen, pose, w);
  draw_hull(pen, pose, hull, look.body, {.gloss = 10, .grain = 2});
  const Rgb glass = pen.light.night ? Rgb{235, 225, 180} : look.glass;
  const Finish pane{.gloss = 22, .mirror = pen.light.night ? 0 : 0.15F, .glow = pen.light.night};
  Vec3 q[4];
  strip_corners(pose, hull, 1, q);
  pen.patch(q, 0.03F, 0.97F, 0.08F, 0.97F, glass, pane);
  pen.patch(q, 0.49F, 0.51F, 0.08F, 0.97F, gray(30));
  strip_corners(pose, hull, 2, q);
  pen.patch(q, 0.15F, 0.85F, 0.1F, 0.85F, gray(18));
  pen.patch(q, 0.25F, 0.75F, 0.3F, 0.7F, {250, 170, 40}, {.glow = true});
  lamps(pen, hull, pose, 0, on);
  strip_corners(pose, hull, 4, q);
  pen.patch(q, 0.12F, 0.88F, 0.1F, 0.5F, glass * 0.8F, pane);
  for (const float side : {1.0F, -1.0F}) {
    if (!flank_visible(pen, pose, half, side)) continue;
    const float y = half + 0.005F;
    if (look.decoration != 0)
      flank_quad(pen, pose, side, y, -front + 0.1F, front - 0.1F, 0.45F, look.decoration == 3 ? 1.25F : 0.7F,
                 look.trim);
    flank_quad(pen, pose, side, y, -front + 0.3F, front - 0.25F, 1.4F, h - 0.55F, gray(26));
    for (float x = -front + 0.4F; x < front - 1.4F; x += 1.45F)
      flank_quad(pen, pose, side, y + 0.005F, x, x + 1.35F, 1.45F, h - 0.6F, glass, pane);
    if (side < 0)
      for (const float door : {front - 1.5F, -0.6F})
        flank_quad(pen, pose, side, y + 0.01F, door, door + 1.15F, 0.42F, h - 0.6F, glass * 0.75F, pane);
  }
  for (const WheelSpec& w : wheels) draw_wheel_faces(pen, pose, w, true);
  tail_lamps(pen, pose, -front - 0.02F, half, 0.9F, on);
  const PlateMark at_front = draw_plate(pen, pose, look.plate, 1, front, 0.5F);
  const PlateMark at_rear = draw_plate(pen, pose, look.plate, -1, front, 0.6F);
  return at_front.facing ? at_front : at_rear;
}

}  // namespace

TruckLook make_truck(std::uint64_t seed, std::uint64_t vehicle) {
  Random random(mix(seed, 0x7A0C));
  TruckLook look;
  const float kind = random.unit();
  look.kind = kind < 0.24F   ? TruckKind::van
              : kind < 0.48F ? TruckKind::box
              : kind < 0.58F ? TruckKind::tipper
              : kind < 0.65F ? TruckKind::tanker
              : kind < 0.75F ? TruckKind::articulated
                             : TruckKind::bus;
  look.cab = car_color(random);
  look.body = random.chance(0.5F) ? gray(random.range(190, 240)) : car_color(random) * 1.15F;
  look.trim = car_color(random);
  look.glass = Rgb{38, 46, 54} * random.range(0.6F, 1.5F);
  look.decoration = random.below(4);
  look.width_m = random.range(2.3F, 2.5F);
  look.height_m = random.range(2.9F, 3.6F);
  look.length_m = random.range(6.0F, 9.5F);
  if (look.kind == TruckKind::van) {
    look.width_m = random.range(1.95F, 2.05F);
    look.height_m = random.range(2.2F, 2.7F);
    look.length_m = random.range(5.2F, 6.4F);
  } else if (look.kind == TruckKind::articulated) {
    look.length_m = random.range(12, 15);
    look.height_m = random.range(3.5F, 4.0F);
  } else if (look.kind == TruckKind::bus) {
    look.length_m = random.range(8.5F, 12.2F);
    look.height_m = random.range(2.9F, 3.3F);
    if (random.chance(0.6F)) {
      static constexpr Rgb kLiveries[] = {{190, 30, 36}, {235, 185, 40}, {40, 90, 170},
                                          {50, 130, 70}, {230, 120, 30}, {225, 225, 225}};
      look.body = random.pick(kLiveries);
    }
  }
  look.plate = make_plate(vehicle);
  return look;
}

PlateMark draw_truck(const Pen& pen, const TruckLook& look, const Pose& pose, float turn, bool parked) {
  const bool on = !parked && (pen.light.lamps || pen.light.night);
  const PlateMark mark = look.kind == TruckKind::van   ? draw_van(pen, look, pose, turn, on)
                         : look.kind == TruckKind::bus ? draw_bus(pen, look, pose, turn, on)
                                                       : draw_lorry(pen, look, pose, turn, on);
  if (on) {
    lamp_glows(pen, pose, look.length_m * 0.5F, look.width_m * 0.42F, 0.7F, 1, {255, 240, 200}, 0.4F);
    lamp_glows(pen, pose, look.length_m * 0.5F, look.width_m * 0.42F, 0.9F, -1, {200, 30, 20}, 0.25F);
  }
  return mark;
}

void cast_truck_shadow(const Pen& pen, const TruckLook& look, const Pose& pose) {
  const float l = look.length_m * 0.5F, w = look.width_m * 0.5F, h = look.height_m;
  const Vec3 points[] = {pose.at(l, w, 0.1F),     pose.at(l, -w, 0.1F),     pose.at(-l, w, 0.1F), pose.at(-l, -w, 0.1F),
                         pose.at(l - 0.5F, w, h), pose.at(l - 0.5F, -w, h), pose.at(-l, w, h),    pose.at(-l, -w, h)};
  pen.cast_shadow(points);
  pen.contact_shadow(pose, l, w, 0.8F);
}

}  // namespace wayside::drivers::synthetic
