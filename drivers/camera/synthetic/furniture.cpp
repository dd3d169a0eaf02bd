// SPDX-License-Identifier: Apache-2.0
// Each piece is a few limbs, balls and boxes.
#include "drivers/camera/synthetic/furniture.h"

#include <algorithm>
#include <array>

#include "drivers/camera/synthetic/font.h"
#include "drivers/camera/synthetic/vehicle.h"

namespace wayside::drivers::synthetic {
namespace {

void box(const Pen& pen, const Pose& pose, float half_length, float half_width, float z0, float z1, Rgb color,
         const Finish& finish = {}) {
  const ProfilePoint profile[] = {{half_length, z0, half_width},
                                  {half_length, z1, half_width},
                                  {-half_length, z1, half_width},
                                  {-half_length, z0, half_width}};
  draw_hull(pen, pose, profile, color, finish);
}

struct Tree {
  explicit Tree(std::uint64_t seed) : random(mix(seed, 0x74EE)) {
    height = random.range(4.5F, 9.5F);
    crown = random.range(1.2F, 2.6F);
    static constexpr Rgb kLeaves[] = {{70, 104, 48},  {92, 124, 58},  {56, 86, 52},
                                      {120, 126, 60}, {150, 120, 50}, {100, 110, 80}};
    leaves = random.pick(kLeaves) * random.range(0.8F, 1.2F);
  }
  Random random;
  float height, crown;
  Rgb leaves;
};

void draw_tree(const Pen& pen, std::uint64_t seed, const Pose& pose) {
  Tree tree(seed);
  Random& random = tree.random;
  const Rgb bark = Rgb{92, 76, 62} * random.range(0.7F, 1.2F);
  const float trunk = random.range(0.1F, 0.2F);
  const float fork = tree.height - tree.crown * 1.5F;
  pen.limb(pose.at(0, 0, 0), trunk * 1.15F, pose.at(random.range(-0.2F, 0.2F), 0, fork), trunk * 0.8F, bark, 14);
  const bool bare = random.chance(0.12F);
  for (int i = 0; i < 6; ++i) {
    const Vec2 d = direction(random.unit());
    pen.limb(pose.at(0, 0, fork - 0.2F), trunk * 0.5F,
             pose.at(d.x * tree.crown, d.y * tree.crown, fork + random.range(0.6F, tree.crown * 1.6F)), 0.03F, bark, 8);
  }
  const float size_px = pen.view.px_per_m(pose.origin) * tree.crown;
  const int blobs = bare ? 0 : std::clamp(static_cast<int>(size_px * 3), 60, 420);
  const float leaf_m = tree.crown * std::clamp(2.6F / std::sqrt(static_cast<float>(blobs)), 0.1F, 0.3F);
  Paint paint;
  paint.grain = 24;
  paint.grain_origin = pen.grain_origin;
  for (int i = 0; i < blobs; ++i) {  // from the dark back to the bright front
    const float k = static_cast<float>(i) / static_cast<float>(blobs);
    const Vec2 d = direction(random.unit());
    const float out = tree.crown * std::sqrt(random.unit());
    const float up = random.range(-1, 1);
    const float shrink = std::sqrt(std::max(0.0F, 1 - up * up * 0.8F));
    const Vec3 at = pose.at(d.x * out * shrink, d.y * out * shrink, tree.height - tree.crown + up * tree.crown);
    const float radius = leaf_m * random.range(0.6F, 1.5F) * (1.3F - 0.5F * k) * pen.view.px_per_m(at);
    if (pen.view.depth_m(at) < 1) continue;
    const Vec3 out_normal = normalised(at - pose.at(0, 0, tree.height - tree.crown));
    paint.color =
        pen.lit(tree.leaves * (0.6F + 0.4F * k + random.range(-0.15F, 0.15F)), out_normal, pen.view.depth_m(at));
    pen.canvas.ellipse(pen.view.project(at), {radius, radius * random.range(0.55F, 1.0F)}, paint);
  }
}

void draw_sign(const Pen& pen, Random& random, const Pose& pose) {
  const float h = random.range(2.2F, 2.9F);
  pen.limb(pose.at(0, 0, 0), 0.035F, pose.at(0, 0, h), 0.035F, gray(130));
  const Vec3 center = pose.at(0.05F, 0, h - 0.25F);
  const Vec3 left{-pose.ahead.y, pose.ahead.x, 0}, up{0, 0, 1};
  const int kind = random.below(4);
  if (kind == 0) {
    pen.disc(center, left * 0.32F, up * 0.32F, {190, 25, 30});
    pen.disc(center, left * 0.23F, up * 0.23F, gray(235));
  } else if (kind == 1) {
    const Vec3 triangle[] = {center - left * 0.35F - up * 0.25F, center + left * 0.35F - up * 0.25F,
                             center + up * 0.36F};
    pen.face(triangle, {200, 30, 30}, {.both_sides = true});
    const Vec3 inner[] = {center - left * 0.22F - up * 0.18F, center + left * 0.22F - up * 0.18F, center + up * 0.2F};
    pen.face(inner, gray(235), {.both_sides = true});
  } else {
    const Rgb board = kind == 2 ? Rgb{30, 70, 150} : Rgb{235, 235, 230};
    const Vec3 q[4] = {center - left * 0.4F + up * 0.25F, center + left * 0.4F + up * 0.25F,
                       center + left * 0.4F - up * 0.25F, center - left * 0.4F - up * 0.25F};
    const Vec3 to_eye = pen.view.eye() - center;
    const bool front = to_eye.x * pose.ahead.x + to_eye.y * pose.ahead.y > 0;
    pen.patch(q, 0, 1, 0, 1, front ? board : gray(120), {.both_sides = true});
    if (front) draw_text(pen, q, kind == 2 ? "P" : "ZONE", kind == 2 ? gray(240) : gray(30), {.both_sides = true});
  }
}

void draw_lamp(const Pen& pen, Random& random, const Pose& pose) {
  const float h = random.range(5.5F, 8.5F);
  const Rgb metal = gray(random.range(50, 130));
  pen.limb(pose.at(0, 0, 0), 0.1F, pose.at(0, 0, 1.0F), 0.08F, metal);
  pen.limb(pose.at(0, 0, 1.0F), 0.07F, pose.at(0, 0, h), 0.045F, metal);
  pen.limb(pose.at(0, 0, h), 0.045F, pose.at(0, 1.3F, h + 0.25F), 0.04F, metal);
  const Vec3 head = pose.at(0, 1.4F, h + 0.2F);
  pen.limb(pose.at(0, 1.1F, h + 0.22F), 0.07F, head, 0.1F, pen.light.night ? Rgb{900, 800, 560} : metal * 1.2F);
  if (pen.light.night) pen.glow(head, 1.4F, {255, 205, 130}, 0.7F);
}

void draw_shelter(const Pen& pen, const Pose& pose) {
  const Rgb metal = gray(70);
  for (const float x : {-1.7F, 1.7F})
    for (const float y : {-0.6F, 0.6F}) pen.limb(pose.at(x, y, 0), 0.04F, pose.at(x, y, 2.4F), 0.04F, metal);
  pen.limb(pose.at(-1.3F, -0.5F, 0.5F), 0.06F, pose.at(1.3F, -0.5F, 0.5F), 0.06F, {130, 90, 60});
  box(pen, pose, 2.0F, 0.8F, 2.4F, 2.55F, metal);
  const Vec3 q[4] = {pose.at(1.72F, -0.6F, 0.3F), pose.at(1.72F, 0.6F, 0.3F), pose.at(1.72F, 0.6F, 2.1F),
                     pose.at(1.72F, -0.6F, 2.1F)};
  pen.patch(q, 0, 1, 0, 1, {170, 120, 140}, {.gloss = 25, .both_sides = true});
}

void draw_traffic_light(const Pen& pen, Random& random, const Pose& pose) {
  pen.limb(pose.at(0, 0, 0), 0.06F, pose.at(0, 0, 2.3F), 0.05F, gray(70));
  box(pen, pose, 0.14F, 0.17F, 2.25F, 3.2F, gray(28));
  const int lit = random.below(3);
  static constexpr Rgb kLamps[] = {{255, 40, 30}, {255, 190, 40}, {60, 230, 110}};
  for (int i = 0; i < 3; ++i)
    pen.ball(pose.at(0.16F, 0, 3.02F - 0.29F * static_cast<float>(i)), 0.1F, kLamps[i] * (i == lit ? 1.4F : 0.22F));
}

}  // namespace

void draw_furniture(const Pen& pen, Furniture kind, std::uint64_t seed, const Pose& pose) {
  Random random(mix(seed, 0xF0));
  static constexpr Rgb kPaints[] = {{60, 90, 70},   {90, 90, 92},    {180, 40, 36}, {40, 60, 110},
                                    {200, 170, 60}, {130, 130, 126}, {70, 56, 46}};
  const Rgb paint = random.pick(kPaints) * random.range(0.8F, 1.2F);
  switch (kind) {
    case Furniture::tree: draw_tree(pen, seed, pose); break;
    case Furniture::bush: {
      const Rgb leaves = Rgb{76, 104, 56} * random.range(0.7F, 1.2F);
      for (int i = 0; i < 40; ++i)
        pen.ball(pose.at(random.range(-0.8F, 0.8F), random.range(-0.4F, 0.4F), random.range(0.1F, 0.9F)),
                 random.range(0.1F, 0.24F), leaves * random.range(0.6F, 1.3F), 1, 18);
      break;
    }
    case Furniture::lamp: draw_lamp(pen, random, pose); break;
    case Furniture::bin:
      pen.limb(pose.at(0, 0, 0.2F), 0.22F, pose.at(0, 0, 0.85F), 0.25F, paint, 4);
      pen.ball(pose.at(0, 0, 1.0F), 0.25F, paint * 0.6F, 0.4F);
      break;
    case Furniture::bench:
      for (const float x : {-0.7F, 0.7F}) pen.limb(pose.at(x, 0, 0), 0.05F, pose.at(x, 0, 0.45F), 0.05F, gray(50));
      box(pen, pose, 0.9F, 0.22F, 0.42F, 0.48F, {140, 98, 62}, {.grain = 10});
      for (const float z : {0.62F, 0.8F})
        pen.limb(pose.at(-0.9F, -0.22F, z), 0.05F, pose.at(0.9F, -0.22F, z), 0.05F, {136, 94, 60});
      break;
    case Furniture::hydrant:
      pen.limb(pose.at(0, 0, 0.1F), 0.12F, pose.at(0, 0, 0.55F), 0.11F, {190, 44, 36});
      pen.limb(pose.at(-0.16F, 0, 0.45F), 0.06F, pose.at(0.16F, 0, 0.45F), 0.06F, {170, 40, 32});
      pen.ball(pose.at(0, 0, 0.68F), 0.11F, {196, 48, 40}, 0.8F);
      break;
    case Furniture::sign: draw_sign(pen, random, pose); break;
    case Furniture::bollard:
      pen.limb(pose.at(0, 0, 0), 0.08F, pose.at(0, 0, 0.85F), 0.07F, paint * 0.7F);
      pen.limb(pose.at(0, 0, 0.7F), 0.075F, pose.at(0, 0, 0.72F), 0.075F, gray(220));
      break;
    case Furniture::cabinet:
      box(pen, pose, random.range(0.4F, 0.9F), 0.25F, 0, random.range(0.9F, 1.6F),
          random.chance(0.5F) ? gray(140) : paint, {.gloss = 6, .grain = 5});
      break;
    case Furniture::shelter: draw_shelter(pen, pose); break;
    case Furniture::traffic_light: draw_traffic_light(pen, random, pose); break;
    case Furniture::column:
      pen.limb(pose.at(0, 0, 0.2F), 0.55F, pose.at(0, 0, 2.4F), 0.55F, mixed(paint, gray(200), 0.4F), 12);
      pen.ball(pose.at(0, 0, 3.0F), 0.6F, gray(80), 0.35F);
      break;
    case Furniture::planter:
      box(pen, pose, 0.7F, 0.3F, 0, 0.5F, {150, 140, 130}, {.grain = 6});
      for (int i = 0; i < 16; ++i)
        pen.ball(pose.at(random.range(-0.6F, 0.6F), random.range(-0.2F, 0.2F), random.range(0.5F, 0.8F)), 0.1F,
                 i % 3 == 0 ? Rgb{200, 80, 110} : Rgb{80, 120, 60}, 1, 10);
      break;
  }
}

void cast_furniture_shadow(const Pen& pen, Furniture kind, std::uint64_t seed, const Pose& pose) {
  if (kind == Furniture::tree) {
    const Tree tree(seed);
    const float r = tree.crown * 0.85F, z = tree.height - tree.crown;
    std::array<Vec3, 12> crown;
    for (std::size_t i = 0; i < crown.size(); ++i) {
      const Vec2 d = direction(static_cast<float>(i) / 12);
      crown[i] = pose.at(d.x * r, d.y * r, z + d.y * r * 0.6F);
    }
    pen.cast_shadow(crown);
    const Vec3 trunk[] = {pose.at(0.15F, 0, 0), pose.at(-0.15F, 0, 0), pose.at(0.15F, 0, z), pose.at(-0.15F, 0, z)};
    pen.cast_shadow(trunk);
    pen.contact_shadow(pose, 0.25F, 0.25F, 0.5F);
    return;
  }
  const bool wide = kind == Furniture::bench || kind == Furniture::shelter || kind == Furniture::cabinet ||
                    kind == Furniture::bush || kind == Furniture::planter || kind == Furniture::column;
  const float h = kind == Furniture::lamp                                                              ? 7.0F
                  : kind == Furniture::shelter || kind == Furniture::sign || kind == Furniture::column ? 2.5F
                  : kind == Furniture::traffic_light                                                   ? 3.2F
                                                                                                       : 0.8F;
  const float l = kind == Furniture::column ? 0.5F
                  : wide                    ? 0.8F
                                            : 0.08F,
              w = kind == Furniture::column ? 0.5F
                  : wide                    ? 0.25F
                                            : 0.08F;
  const Vec3 points[] = {pose.at(l, w, 0), pose.at(-l, w, 0), pose.at(l, -w, 0), pose.at(-l, -w, 0),
                         pose.at(l, w, h), pose.at(-l, w, h), pose.at(l, -w, h), pose.at(-l, -w, h)};
  pen.cast_shadow(points);
  pen.contact_shadow(pose, l + 0.1F, w + 0.1F, 0.5F);
}

}  // namespace wayside::drivers::synthetic
