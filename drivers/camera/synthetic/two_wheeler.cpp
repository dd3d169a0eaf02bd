// SPDX-License-Identifier: Apache-2.0
// Tube frames, fat-tyred machines and the seated figure that rides them.
#include "drivers/camera/synthetic/two_wheeler.h"

#include <algorithm>

namespace wayside::drivers::synthetic {
namespace {

constexpr float kBikeWheel_m = 0.34F, kBikeAxle_m = 0.52F;
constexpr float kMotorWheel_m = 0.31F, kMotorAxle_m = 0.68F;
constexpr float kPedalTravel_m = 5.2F;  // metres travelled for one turn of the pedals in a middle gear

/// 1 if the left side faces the camera, else -1.
float near_side(const Pen& pen, const Pose& pose) {
  const Vec3 to_eye = pen.view.eye() - pose.origin;
  return to_eye.y * pose.ahead.x - to_eye.x * pose.ahead.y > 0 ? 1.0F : -1.0F;
}

struct Seating {
  Vec3 saddle, grip[2], pedal[2];
};

void draw_spoked_wheel(const Pen& pen, const Pose& pose, float x, float radius, float turn) {
  const Vec3 ahead{pose.ahead.x, pose.ahead.y, 0}, up{0, 0, 1};
  const Vec3 hub = pose.at(x, 0, radius);
  const float px = pen.view.px_per_m(hub) * radius;
  const int pieces = px < 5 ? 8 : px < 20 ? 14 : 22;
  const auto rim = [&](int i) {
    const Vec2 d = direction(static_cast<float>(i) / static_cast<float>(pieces));
    return hub + (ahead * d.x + up * d.y) * (radius * 0.95F);
  };
  if (px > 10) {
    for (int i = 0; i < 8; ++i) {
      const Vec2 d = direction(turn + static_cast<float>(i) * 0.125F);
      pen.limb(hub, 0.004F, hub + (ahead * d.x + up * d.y) * (radius * 0.9F), 0.004F, gray(140));
    }
  }
  for (int i = 0; i < pieces; ++i) pen.limb(rim(i), 0.022F, rim(i + 1), 0.022F, gray(26));
}

void draw_fat_wheel(const Pen& pen, const Pose& pose, float x, float radius, float width) {
  const Vec3 ahead{pose.ahead.x, pose.ahead.y, 0}, up{0, 0, 1};
  pen.limb(pose.at(x, 0, 0.04F + width * 0.5F), width * 0.5F, pose.at(x, 0, radius * 2 - width * 0.5F), width * 0.5F,
           gray(26));
  for (const float y : {-width * 0.4F, width * 0.4F})
    pen.disc(pose.at(x, y, radius), ahead * radius, up * radius, gray(28));
  const float side = near_side(pen, pose);
  pen.disc(pose.at(x, side * width * 0.45F, radius), ahead * (radius * 0.6F), up * (radius * 0.6F), gray(120));
  pen.disc(pose.at(x, side * width * 0.47F, radius), ahead * (radius * 0.45F), up * (radius * 0.45F), gray(55));
}

Seating draw_bicycle(const Pen& pen, const TwoWheelerLook& look, const Pose& pose, float travelled) {
  const float turn = travelled / (kBikeWheel_m * 6.2831853F);
  const Vec3 crank = pose.at(-0.05F, 0, 0.29F), seat_lug = pose.at(-0.2F, 0, 0.82F), saddle = pose.at(-0.23F, 0, 0.94F);
  const Vec3 head_low = pose.at(0.36F, 0, 0.66F), head_top = pose.at(0.32F, 0, 0.86F), stem = pose.at(0.31F, 0, 1.0F);
  const Vec3 rear = pose.at(-kBikeAxle_m, 0, kBikeWheel_m), front = pose.at(kBikeAxle_m, 0, kBikeWheel_m);
  draw_spoked_wheel(pen, pose, -kBikeAxle_m, kBikeWheel_m, -turn);
  draw_spoked_wheel(pen, pose, kBikeAxle_m, kBikeWheel_m, -turn);
  constexpr float kTube = 0.02F;
  pen.limb(rear, kTube * 0.7F, crank, kTube * 0.7F, look.frame);
  pen.limb(rear, kTube * 0.7F, seat_lug, kTube * 0.7F, look.frame);
  pen.limb(crank, kTube, seat_lug, kTube, look.frame);
  pen.limb(crank, kTube * 1.2F, head_low, kTube * 1.2F, look.frame);
  pen.limb(seat_lug, kTube, head_top, kTube, look.frame);
  pen.limb(head_low, kTube * 1.2F, head_top, kTube * 1.2F, look.frame);
  pen.limb(head_low, kTube * 0.9F, front, kTube * 0.8F, look.frame);
  pen.limb(head_top, kTube * 0.8F, stem, kTube * 0.8F, gray(60));
  pen.limb(seat_lug, kTube * 0.8F, saddle, kTube * 0.8F, gray(60));
  pen.limb(pose.at(-0.33F, 0, 0.95F), 0.05F, pose.at(-0.12F, 0, 0.95F), 0.03F, look.seat);
  if (look.basket)
    pen.quad(pose.at(0.45F, -0.17F, 0.75F), pose.at(0.45F, 0.17F, 0.75F), pose.at(0.48F, 0.19F, 1.0F),
             pose.at(0.48F, -0.19F, 1.0F), {120, 95, 60}, {.grain = 20, .both_sides = true});
  Seating s;
  s.saddle = saddle;
  const Vec2 pedal = direction(-travelled / kPedalTravel_m);
  for (int i = 0; i < 2; ++i) {
    const float side = i == 0 ? 1.0F : -1.0F;
    s.grip[i] = look.drop_bar ? pose.at(0.45F, side * 0.2F, 0.9F) : pose.at(0.28F, side * 0.27F, 1.04F);
    pen.limb(stem, 0.014F, s.grip[i], 0.016F, gray(40));
    s.pedal[i] = pose.at(-0.05F + side * 0.17F * pedal.x, side * 0.12F, 0.29F + side * 0.17F * pedal.y);
    pen.limb(crank, 0.012F, s.pedal[i], 0.012F, gray(90));
  }
  return s;
}

Seating draw_motorcycle(const Pen& pen, const TwoWheelerLook& look, const Pose& pose) {
  const bool scooter = look.kind == TwoWheelerKind::scooter;
  const float r = scooter ? 0.24F : kMotorWheel_m, axle = scooter ? 0.62F : kMotorAxle_m;
  const bool on = pen.light.lamps || pen.light.night;
  draw_fat_wheel(pen, pose, -axle, r, 0.15F);
  draw_fat_wheel(pen, pose, axle, r, 0.12F);
  pen.limb(pose.at(axle, 0, r), 0.04F, pose.at(axle - 0.25F, 0, 0.95F), 0.045F, gray(130));  // fork
  if (scooter) {
    pen.limb(pose.at(-axle + 0.1F, 0, 0.55F), 0.18F, pose.at(-0.12F, 0, 0.55F), 0.15F, look.frame);
    pen.limb(pose.at(-0.1F, 0, 0.3F), 0.1F, pose.at(0.35F, 0, 0.3F), 0.1F, look.frame * 0.8F);
    pen.limb(pose.at(0.36F, 0, 0.3F), 0.15F, pose.at(0.4F, 0, 0.85F), 0.13F, look.frame);
  } else {
    pen.limb(pose.at(-0.2F, 0, 0.4F), 0.16F, pose.at(0.25F, 0, 0.45F), 0.17F, gray(60));            // engine
    pen.limb(pose.at(-0.1F, 0, 0.78F), 0.13F, pose.at(0.3F, 0, 0.85F), 0.17F, look.frame);          // tank
    pen.limb(pose.at(0.35F, 0, 0.75F), 0.16F, pose.at(0.5F, 0, 0.85F), 0.12F, look.frame * 0.95F);  // fairing
    pen.limb(pose.at(-0.2F, -0.16F, 0.35F), 0.05F, pose.at(-0.8F, -0.18F, 0.42F), 0.06F, gray(150));
  }
  pen.limb(pose.at(-0.7F, 0, 0.82F), 0.09F, pose.at(-0.1F, 0, 0.76F), 0.12F, look.seat);
  pen.limb(pose.at(-axle, 0, r * 2 + 0.06F), 0.07F, pose.at(-axle + 0.25F, 0, 0.74F), 0.09F, look.frame);  // tail
  Seating s;
  s.saddle = pose.at(-0.3F, 0, scooter ? 0.8F : 0.86F);
  const Vec3 bar = pose.at(axle - 0.28F, 0, 1.02F);
  for (int i = 0; i < 2; ++i) {
    const float side = i == 0 ? 1.0F : -1.0F;
    s.grip[i] = pose.at(axle - 0.38F, side * 0.34F, 1.05F);
    pen.limb(bar, 0.018F, s.grip[i], 0.022F, gray(40));
    pen.limb(s.grip[i], 0.01F, pose.at(axle - 0.3F, side * 0.4F, 1.22F), 0.05F, gray(40));  // mirror
    s.pedal[i] = scooter ? pose.at(0.15F, side * 0.12F, 0.38F) : pose.at(-0.1F, side * 0.2F, 0.32F);
  }
  const Vec3 to_eye = pen.view.eye() - pose.origin;
  const bool from_ahead = to_eye.x * pose.ahead.x + to_eye.y * pose.ahead.y > 0;
  if (from_ahead)
    pen.ball(pose.at(axle - 0.14F, 0, 0.9F), 0.095F, on ? Rgb{420, 400, 340} : Rgb{215, 220, 225});
  else
    pen.ball(pose.at(-axle - 0.12F, 0, 0.68F), 0.055F, on ? Rgb{420, 70, 60} : Rgb{170, 25, 25});
  if (on && from_ahead) pen.glow(pose.at(axle - 0.1F, 0, 0.9F), 0.5F, {255, 240, 200}, 0.6F);
  return s;
}

/// The middle joint of two bones of one length each between `a` and `b`, bent towards `towards`.
Vec3 joint(Vec3 a, Vec3 b, float bone_m, Vec3 towards) {
  const Vec3 half = (b - a) * 0.5F;
  const float rest = bone_m * bone_m - dot(half, half);
  return a + half + normalised(towards) * std::sqrt(std::max(rest, 0.0004F));
}

Figure riding_figure(const TwoWheelerLook& look, const Pose& pose, const Seating& s) {
  const float h = look.rider.height_m;
  const float lean = look.drop_bar ? 0.36F : look.kind == TwoWheelerKind::bicycle ? 0.2F : 0.14F;
  Figure f;
  f.ahead = pose.ahead;
  const Vec3 ahead{pose.ahead.x, pose.ahead.y, 0}, left{-pose.ahead.y, pose.ahead.x, 0};
  f.pelvis = s.saddle + Vec3{0, 0, 0.06F};
  f.chest = f.pelvis + normalised(ahead * lean + Vec3{0, 0, 0.33F}) * (0.335F * h);
  f.head = f.chest + normalised(ahead * (lean * 0.6F) + Vec3{0, 0, 0.4F}) * (0.085F * h);
  for (int i = 0; i < 2; ++i) {
    const Vec3 out = left * (i == 0 ? 1.0F : -1.0F);
    f.shoulder[i] = f.chest + out * (0.108F * h) - Vec3{0, 0, 0.03F * h};
    f.hand[i] = s.grip[i];
    f.elbow[i] = joint(f.shoulder[i], f.hand[i], 0.165F * h, Vec3{0, 0, -1} + out * 0.8F);
    f.hip[i] = f.pelvis + out * (0.055F * h);
    f.ankle[i] = s.pedal[i] + Vec3{0, 0, 0.07F};
    f.knee[i] = joint(f.hip[i], f.ankle[i], 0.245F * h, ahead + Vec3{0, 0, 0.5F});
  }
  return f;
}

}  // namespace

TwoWheelerLook make_two_wheeler(std::uint64_t seed, bool ridden) {
  Random random(mix(seed, 0x2B1CE));
  TwoWheelerLook look;
  const float kind = random.unit();
  look.kind = kind < 0.55F   ? TwoWheelerKind::bicycle
              : kind < 0.82F ? TwoWheelerKind::motorcycle
                             : TwoWheelerKind::scooter;
  look.frame = cloth_color(random) * 1.1F;
  look.seat = gray(random.range(22, 60));
  look.ridden = ridden;
  look.drop_bar = look.kind == TwoWheelerKind::bicycle && random.chance(0.25F);
  look.basket = !look.drop_bar && random.chance(0.25F);
  look.rider = make_person(random.next(), false);
  look.rider.height_m = std::max(look.rider.height_m, 1.5F);
  look.rider.umbrella = false;
  look.rider.coat = false;
  if (look.rider.legwear == Legwear::dress || look.rider.legwear == Legwear::skirt)
    look.rider.legwear = Legwear::trousers;
  if (look.rider.luggage != Luggage::backpack) look.rider.luggage = Luggage::none;
  if (look.kind != TwoWheelerKind::bicycle || random.chance(0.4F)) look.rider.headwear = Headwear::helmet;
  look.speed_mps = look.kind == TwoWheelerKind::bicycle ? random.range(3.2F, 6.0F) : random.range(7, 12);
  return look;
}

void draw_two_wheeler(const Pen& pen, const TwoWheelerLook& look, const Pose& pose, float travelled_m) {
  const Seating s = look.kind == TwoWheelerKind::bicycle ? draw_bicycle(pen, look, pose, travelled_m)
                                                         : draw_motorcycle(pen, look, pose);
  if (look.ridden) draw_person(pen, look.rider, riding_figure(look, pose, s));
}

void cast_two_wheeler_shadow(const Pen& pen, const TwoWheelerLook& look, const Pose& pose) {
  const Vec3 machine[] = {pose.at(0.85F, 0.05F, 0.3F),   pose.at(-0.85F, 0.05F, 0.3F), pose.at(0.5F, -0.05F, 0.02F),
                          pose.at(-0.5F, -0.05F, 0.02F), pose.at(-0.3F, 0.15F, 0.9F),  pose.at(0.3F, -0.15F, 1.0F)};
  pen.cast_shadow(machine);
  if (look.ridden) {
    const Vec3 body[] = {pose.at(-0.3F, 0.15F, 0.9F), pose.at(-0.3F, -0.15F, 0.9F), pose.at(0.1F, 0.2F, 1.45F),
                         pose.at(0.1F, -0.2F, 1.45F), pose.at(0.15F, 0, 1.75F)};
    pen.cast_shadow(body);
  }
  pen.contact_shadow(pose, 0.75F, 0.12F, 0.5F);
}

}  // namespace wayside::drivers::synthetic
