// SPDX-License-Identifier: Apache-2.0
// Proportions follow the usual eight-head canon of figure drawing; all lengths are fractions of the body height.
#include "drivers/camera/synthetic/person.h"

#include <algorithm>
#include <array>

namespace wayside::drivers::synthetic {
namespace {

constexpr float kHip = 0.515F, kShoulder = 0.815F, kHeadCenter = 0.93F, kHeadRadius = 0.058F;
constexpr float kThigh = 0.25F, kShin = 0.235F, kUpperArm = 0.17F, kForearm = 0.155F, kAnkle = 0.035F;
constexpr float kShoulderHalf = 0.108F, kHipHalf = 0.048F;

struct Part {
  Vec3 a, b;
  float radius_a = 0, radius_b = 0;
  Rgb color;
  float depth_m = 0;
  float grain = 0;
};

class Parts {
 public:
  explicit Parts(const Pen& pen) : pen_(pen) {}
  void add(Vec3 a, float radius_a, Vec3 b, float radius_b, Rgb color, float nearer_m = 0, float grain = 0) {
    if (count_ == parts_.size()) return;
    parts_[count_++] = {a, b, radius_a, radius_b, color, pen_.view.depth_m((a + b) * 0.5F) - nearer_m, grain};
  }
  void draw() {
    for (std::size_t i = 1; i < count_; ++i)  // insertion: stable, and std::stable_sort would allocate
      for (std::size_t k = i; k > 0 && parts_[k - 1].depth_m < parts_[k].depth_m; --k)
        std::swap(parts_[k - 1], parts_[k]);
    for (std::size_t i = 0; i < count_; ++i) {
      const Part& p = parts_[i];
      pen_.limb(p.a, p.radius_a, p.b, p.radius_b, p.color, p.grain);
    }
  }

 private:
  const Pen& pen_;
  std::array<Part, 40> parts_{};
  std::size_t count_ = 0;
};

/// -1 seen from behind .. 1 seen from the front.
float frontness(const Pen& pen, const Figure& figure) {
  const Vec3 to_eye = normalised({pen.view.eye().x - figure.chest.x, pen.view.eye().y - figure.chest.y, 0});
  return to_eye.x * figure.ahead.x + to_eye.y * figure.ahead.y;
}

void add_legs(Parts& parts, const PersonLook& look, const Figure& f) {
  const float h = look.height_m, g = look.girth * h;
  const bool bare_shin = look.legwear != Legwear::trousers;
  const bool bare_thigh = look.legwear == Legwear::dress || look.legwear == Legwear::skirt;
  for (int i = 0; i < 2; ++i) {
    const Rgb shade = look.bottom * (i == 0 ? 0.94F : 1.0F);  // the two legs stay apart to the eye
    parts.add(f.hip[i], 0.052F * g, f.knee[i], 0.036F * g, bare_thigh ? look.skin : shade, 0, 4);
    parts.add(f.knee[i], 0.035F * g, f.ankle[i], 0.024F * g, bare_shin ? look.skin : shade, 0, 4);
    const Vec3 toe = f.ankle[i] + Vec3{f.ahead.x, f.ahead.y, -0.12F} * (0.085F * h);
    parts.add(f.ankle[i] + Vec3{0, 0, -0.01F * h}, 0.024F * h, toe, 0.017F * h, look.shoes);
  }
}

void add_arms(Parts& parts, const PersonLook& look, const Figure& f) {
  const float h = look.height_m, g = look.girth * h;
  for (int i = 0; i < 2; ++i) {
    const Rgb sleeve = look.top * (i == 0 ? 0.92F : 1.03F);
    parts.add(f.shoulder[i], 0.036F * g, f.elbow[i], 0.027F * g, sleeve, 0.02F, 5);
    parts.add(f.elbow[i], 0.026F * g, f.hand[i], 0.019F * g, look.long_sleeves ? sleeve : look.skin, 0.02F, 3);
    parts.add(f.hand[i], 0.021F * h, f.hand[i] + Vec3{f.ahead.x * 0.3F, f.ahead.y * 0.3F, -0.9F} * (0.03F * h),
              0.017F * h, look.skin, 0.03F);
  }
}

void add_torso(Parts& parts, const PersonLook& look, const Figure& f, float front) {
  const float h = look.height_m, g = look.girth * h;
  const float broad = front * front;  // 1 from front or behind, 0 from the side
  const float chest = g * (0.072F + 0.034F * broad), waist = g * (0.062F + 0.026F * broad);
  const Vec3 up = normalised(f.chest - f.pelvis);
  const Vec3 top = f.chest - up * (chest * 0.75F);
  parts.add(f.pelvis + up * (0.03F * h), waist, top, chest, look.top, 0, 7);
  if (look.striped) {
    for (const float k : {0.25F, 0.55F, 0.85F}) {
      const Vec3 p = lerp(f.pelvis, top, k);
      const float r = (waist + (chest - waist) * k) * 0.8F;
      const Vec3 side{-f.ahead.y * r * broad, f.ahead.x * r * broad, 0};
      parts.add(p - side, 0.012F * h, p + side, 0.012F * h, look.extra, 0.03F);
    }
  }
  if (look.vest) {
    parts.add(lerp(f.pelvis, top, 0.25F), waist * 1.04F, top, chest * 1.04F, {215, 235, 40}, 0.01F);
    parts.add(lerp(f.pelvis, top, 0.4F), waist * 0.9F, lerp(f.pelvis, top, 0.45F), waist * 0.9F, gray(225), 0.02F);
  }
  const Vec3 knees = (f.knee[0] + f.knee[1]) * 0.5F;
  if (look.legwear == Legwear::skirt || look.legwear == Legwear::dress)
    parts.add(f.pelvis + up * (0.05F * h), waist, lerp(f.pelvis, knees, 0.85F), waist * 1.35F,
              look.legwear == Legwear::dress ? look.top : look.bottom, 0.02F, 6);
  if (look.coat)
    parts.add(f.pelvis + up * (0.1F * h), waist, lerp(f.pelvis, knees, 0.7F), waist * 1.12F, look.top, 0.02F, 5);
  parts.add(f.chest - up * (0.01F * h), 0.03F * h, f.head, 0.028F * h, look.skin, -0.01F);
}

void add_luggage(Parts& parts, const PersonLook& look, const Figure& f, float front) {
  const float h = look.height_m;
  const Vec3 ahead{f.ahead.x, f.ahead.y, 0};
  switch (look.luggage) {
    case Luggage::backpack: {
      const Vec3 at = lerp(f.pelvis, f.chest, 0.6F) - ahead * (0.105F * h);
      parts.add(at + Vec3{0, 0, -0.07F * h}, 0.072F * h, at + Vec3{0, 0, 0.08F * h}, 0.06F * h, look.extra, 0.02F, 6);
      if (front > 0.2F)
        for (int i = 0; i < 2; ++i)
          parts.add(lerp(f.shoulder[i], f.chest, 0.4F), 0.012F * h, lerp(f.pelvis, f.shoulder[i], 0.45F), 0.012F * h,
                    look.extra, 0.09F);
      break;
    }
    case Luggage::handbag:
      parts.add(f.shoulder[0], 0.008F * h, f.hip[0] + Vec3{0, 0, 0.02F * h}, 0.008F * h, look.extra * 0.8F, 0.06F);
      parts.add(f.hip[0] + Vec3{0, 0, 0.01F * h}, 0.05F * h, f.hip[0] - ahead * 0.05F, 0.045F * h, look.extra, 0.08F,
                5);
      break;
    case Luggage::suitcase: {
      const Vec3 base = Vec3{f.pelvis.x, f.pelvis.y, f.pelvis.z - kHip * h} - ahead * (0.3F * h);
      parts.add(f.hand[1], 0.008F * h, base + Vec3{0, 0, 0.28F * h}, 0.008F * h, gray(90));
      parts.add(base + Vec3{0, 0, 0.09F * h}, 0.085F * h, base + Vec3{0, 0, 0.26F * h}, 0.08F * h, look.extra, 0, 4);
      break;
    }
    case Luggage::shopping:
      parts.add(f.hand[0] + Vec3{0, 0, -0.07F * h}, 0.03F * h, f.hand[0] + Vec3{0, 0, -0.15F * h}, 0.055F * h,
                look.extra, 0.02F, 6);
      break;
    case Luggage::none: break;
  }
}

void draw_head(const Pen& pen, const PersonLook& look, const Figure& f, float front) {
  const float r = kHeadRadius * look.height_m * 1.06F;
  const Vec3 ahead{f.ahead.x, f.ahead.y, 0};
  const Vec3 up{0, 0, 1};
  if (look.headwear == Headwear::helmet) {
    pen.ball(f.head + up * (r * 0.1F), r * 1.3F, look.extra, 1.1F);
    if (front > 0.1F)
      pen.ball(f.head + ahead * (r * 0.75F) - up * (r * 0.1F), r * (0.5F + 0.35F * front), {35, 38, 45}, 0.6F);
    return;
  }
  const bool hair = !look.bald && look.headwear != Headwear::hood;
  const auto draw_hair = [&] {
    if (look.headwear == Headwear::hood) pen.ball(f.head - ahead * (r * 0.15F), r * 1.3F, look.top, 1.2F);
    if (!hair) return;
    pen.ball(f.head - ahead * (r * 0.22F) + up * (r * 0.16F), r * 1.1F, look.hair, 1.13F);
    if (look.long_hair)
      pen.limb(f.head - ahead * (r * 0.35F), r * 0.95F, f.head - ahead * (r * 0.5F) - up * (r * 1.9F), r * 0.75F,
               look.hair);
  };
  const auto draw_face = [&] {
    pen.ball(f.head + ahead * (r * 0.14F) - up * (r * 0.1F), r * 0.97F, look.skin, 1.2F);
    if (front > 0.45F && pen.view.px_per_m(f.head) * r > 5) {
      const Vec3 side{-f.ahead.y, f.ahead.x, 0};
      for (const float s : {-0.38F, 0.38F})
        pen.ball(f.head + ahead * r + side * (r * s) + up * (r * 0.12F), r * 0.13F, {30, 24, 22}, 0.7F);
      pen.ball(f.head + ahead * r - up * (r * 0.62F), r * 0.22F, look.skin * 0.7F, 0.35F);
    }
    if (hair) pen.ball(f.head - ahead * (r * 0.05F) + up * (r * 0.78F), r * 0.78F, look.hair, 0.55F);  // fringe
  };
  if (front > -0.25F) {
    draw_hair();
    draw_face();
  } else {
    draw_face();
    draw_hair();
  }
  if (look.headwear == Headwear::cap || look.headwear == Headwear::hat) {
    const float brim = look.headwear == Headwear::hat ? 1.7F : 0.8F;
    const Vec3 forward = look.headwear == Headwear::hat ? Vec3{} : ahead * (r * 0.9F);
    pen.ball(f.head + up * (r * 0.62F), r * 1.02F, look.extra, 0.72F);
    pen.ball(f.head + up * (r * 0.55F) + forward, r * brim, look.extra * 0.8F, 0.22F);
  }
}

void draw_umbrella(const Pen& pen, const PersonLook& look, const Figure& f) {
  const Vec3 grip = f.hand[1];
  const Vec3 top{f.head.x, f.head.y, f.head.z + 0.36F};
  pen.limb(grip, 0.012F, top, 0.01F, gray(60));
  if (pen.view.depth_m(top) < View::kNear_m) return;
  const Vec2 at = pen.view.project(top);
  const float r = 0.55F * pen.view.px_per_m(top);
  const float from_above = std::clamp((pen.view.eye().z - top.z) / length(pen.view.eye() - top), 0.0F, 1.0F);
  std::array<Vec2, 20> dome;
  for (std::size_t i = 0; i < 10; ++i) {
    const Vec2 d = direction(0.5F * static_cast<float>(i) / 9);
    dome[i] = at + Vec2{d.x * r, r * 0.32F - d.y * r * (0.55F + 0.3F * from_above)};
    dome[19 - i] = at + Vec2{d.x * r, r * 0.32F - d.y * r * 0.12F + r * 0.45F * from_above * d.y};
  }
  Paint paint;
  const Rgb color = pen.hazed(look.extra * (pen.light.ambient + pen.light.sun * 0.6F), pen.view.depth_m(top));
  paint.gradient = true;
  paint.from = at + Vec2{-r, -r * 0.4F};
  paint.to = at + Vec2{r, r * 0.4F};
  paint.color = color * 1.15F;
  paint.end_color = color * 0.72F;
  pen.canvas.fill(dome, paint);
}

}  // namespace

Rgb cloth_color(Random& random) {
  if (random.chance(0.5F)) {  // dark and neutral, as most streets are
    const float level = random.range(22, 95);
    return {level + random.range(-8, 8), level + random.range(-6, 6), level + random.range(-6, 18)};
  }
  if (random.chance(0.3F))
    return gray(random.range(150, 240)) + Rgb{random.range(-12, 10), random.range(-10, 8), random.range(-25, 8)};
  static constexpr Rgb kBright[] = {{180, 35, 40},  {30, 70, 150},  {40, 110, 60},   {220, 170, 40}, {200, 90, 40},
                                    {120, 50, 120}, {90, 150, 200}, {220, 130, 160}, {120, 80, 50},  {60, 140, 140}};
  return random.pick(kBright) * random.range(0.75F, 1.2F) +
         Rgb{random.range(-15, 15), random.range(-15, 15), random.range(-15, 15)};
}

PersonLook make_person(std::uint64_t seed, bool raining) {
  static constexpr Rgb kSkin[] = {{236, 196, 170}, {222, 176, 145}, {200, 150, 115},
                                  {165, 115, 82},  {120, 80, 58},   {82, 56, 44}};
  static constexpr Rgb kHair[] = {{28, 24, 22},    {48, 34, 26},    {84, 56, 34}, {140, 100, 58},
                                  {200, 168, 110}, {150, 148, 145}, {120, 52, 30}};
  Random random(mix(seed, 0x9E750));
  PersonLook look;
  const bool child = random.chance(0.1F);
  look.height_m = child ? random.range(1.05F, 1.45F) : random.range(1.52F, 1.93F);
  look.girth = random.range(0.86F, 1.3F);
  look.skin = random.pick(kSkin) * random.range(0.92F, 1.06F);
  look.hair = random.pick(kHair) * random.range(0.85F, 1.15F);
  look.top = cloth_color(random);
  look.bottom = random.chance(0.35F) ? Rgb{50, 66, 100} * random.range(0.6F, 1.5F) : cloth_color(random);
  look.shoes = random.chance(0.25F) ? gray(220) : gray(random.range(20, 70));
  look.extra = cloth_color(random);
  look.long_sleeves = random.chance(0.65F);
  look.long_hair = random.chance(0.35F);
  look.bald = !look.long_hair && random.chance(0.12F);
  look.coat = random.chance(0.2F);
  look.striped = !look.coat && random.chance(0.15F);
  look.vest = random.chance(0.03F);
  const float legs = random.unit();
  look.legwear = legs < 0.72F   ? Legwear::trousers
                 : legs < 0.84F ? Legwear::shorts
                 : legs < 0.93F ? Legwear::skirt
                                : Legwear::dress;
  const float head = random.unit();
  look.headwear = head < 0.72F   ? Headwear::none
                  : head < 0.84F ? Headwear::cap
                  : head < 0.9F  ? Headwear::hat
                                 : Headwear::hood;
  const float bag = random.unit();
  look.luggage = bag < 0.5F    ? Luggage::none
                 : bag < 0.68F ? Luggage::backpack
                 : bag < 0.82F ? Luggage::handbag
                 : bag < 0.88F ? Luggage::suitcase
                               : Luggage::shopping;
  look.umbrella = raining ? random.chance(0.5F) : random.chance(0.02F);
  look.speed_mps = child ? random.range(0.9F, 1.5F) : random.range(0.9F, 1.7F);
  return look;
}

Figure walking_figure(const PersonLook& look, const Pose& pose, float phase, float swing) {
  const float h = look.height_m;
  Figure f;
  f.ahead = pose.ahead;
  const float bounce = 0.012F * h * swing * cosine(phase * 2);
  const float lean = 0.02F * h * swing;
  f.pelvis = pose.at(0, 0, kHip * h + bounce);
  f.chest = pose.at(lean, 0, (kShoulder + 0.035F) * h + bounce);
  f.head = pose.at(lean * 1.4F, 0, kHeadCenter * h + bounce);
  for (int i = 0; i < 2; ++i) {
    const float side = i == 0 ? 1.0F : -1.0F;
    const float cycle = phase + (i == 0 ? 0.0F : 0.5F);
    const float thigh = 0.075F * swing * sine(cycle);  // turns, + = ahead
    const float bend =
        0.02F + 0.11F * swing * std::max(0.0F, cosine(cycle - 0.05F));  // the leg that swings forward bends
    const Vec2 upper = direction(thigh), lower = direction(thigh - bend);
    const float hip_y = side * kHipHalf * h;
    f.hip[i] = pose.at(0, hip_y, kHip * h + bounce);
    const float knee_x = upper.y * kThigh * h, knee_z = kHip * h + bounce - upper.x * kThigh * h;
    f.knee[i] = pose.at(knee_x, hip_y, knee_z);
    f.ankle[i] = pose.at(knee_x + lower.y * kShin * h, hip_y, std::max(kAnkle * h, knee_z - lower.x * kShin * h));
    const bool holds = look.umbrella && i == 1;
    const float arm = holds ? 0.03F : -0.06F * swing * sine(cycle) + 0.005F;
    const float elbow = holds ? 0.38F : 0.02F + 0.045F * swing;
    const Vec2 arm_dir = direction(arm), fore_dir = direction(arm + elbow);
    const float shoulder_y = side * kShoulderHalf * h * look.girth;
    f.shoulder[i] = pose.at(lean, shoulder_y, kShoulder * h + bounce);
    const float elbow_x = lean + arm_dir.y * kUpperArm * h,
                elbow_z = kShoulder * h + bounce - arm_dir.x * kUpperArm * h;
    f.elbow[i] = pose.at(elbow_x, shoulder_y + side * 0.02F * h, elbow_z);
    f.hand[i] = pose.at(elbow_x + fore_dir.y * kForearm * h, shoulder_y + side * 0.015F * h,
                        elbow_z - fore_dir.x * kForearm * h);
  }
  return f;
}

void draw_person(const Pen& pen, const PersonLook& look, const Figure& figure) {
  const float front = frontness(pen, figure);
  Parts parts(pen);
  add_legs(parts, look, figure);
  add_torso(parts, look, figure, front);
  add_arms(parts, look, figure);
  add_luggage(parts, look, figure, front);
  parts.draw();
  draw_head(pen, look, figure, front);
  if (look.umbrella) draw_umbrella(pen, look, figure);
}

void cast_person_shadow(const Pen& pen, const PersonLook& look, const Figure& figure) {
  const Vec3 side = Vec3{-figure.ahead.y, figure.ahead.x, 0} * (0.11F * look.height_m);
  const Vec3 body[] = {figure.shoulder[0],
                       figure.shoulder[1],
                       figure.hip[0],
                       figure.hip[1],
                       figure.head + side * 0.5F,
                       figure.head - side * 0.5F,
                       figure.head + Vec3{0, 0, 0.12F}};
  pen.cast_shadow(body);
  for (int i = 0; i < 2; ++i) {
    const Vec3 across = side * 0.4F;
    const Vec3 leg[] = {figure.hip[i] + across, figure.hip[i] - across, figure.ankle[i] + across,
                        figure.ankle[i] - across};
    pen.cast_shadow(leg);
  }
  Pose pose{{(figure.ankle[0].x + figure.ankle[1].x) * 0.5F, (figure.ankle[0].y + figure.ankle[1].y) * 0.5F, 0},
            figure.ahead};
  pen.contact_shadow(pose, 0.18F, 0.12F, 0.35F);
}

}  // namespace wayside::drivers::synthetic
