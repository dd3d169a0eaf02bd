// SPDX-License-Identifier: Apache-2.0
// People: how they look, how they walk, stand and ride, and their drawing limb by limb.
#pragma once

#include <cstdint>

#include "drivers/camera/synthetic/pen.h"

namespace wayside::drivers::synthetic {

enum class Legwear : std::uint8_t { trousers, shorts, skirt, dress };
enum class Headwear : std::uint8_t { none, cap, hat, hood, helmet };
enum class Luggage : std::uint8_t { none, backpack, handbag, suitcase, shopping };

struct PersonLook {
  float height_m = 1.7F;
  float girth = 1;  ///< factor on all radii
  Rgb skin, hair, top, bottom, shoes, extra;
  Legwear legwear = Legwear::trousers;
  Headwear headwear = Headwear::none;
  Luggage luggage = Luggage::none;
  bool long_sleeves = true;
  bool long_hair = false;
  bool bald = false;
  bool coat = false;  ///< the top reaches to the thighs
  bool striped = false;
  bool umbrella = false;
  bool vest = false;       ///< yellow safety vest
  float speed_mps = 1.3F;  ///< when walking
};
[[nodiscard]] PersonLook make_person(std::uint64_t seed, bool raining);

/// Joints in world coordinates; pairs are left, right.
struct Figure {
  Vec2 ahead{1, 0};
  Vec3 pelvis, chest, head;
  Vec3 shoulder[2], elbow[2], hand[2], hip[2], knee[2], ankle[2];
};
/// Walk cycle: `phase` in cycles of two steps (1.4 m for a grown person); `swing` 0 = standing, 1 = walking, 2 =
/// running.
[[nodiscard]] Figure walking_figure(const PersonLook& look, const Pose& pose, float phase, float swing);

void draw_person(const Pen& pen, const PersonLook& look, const Figure& figure);
void cast_person_shadow(const Pen& pen, const PersonLook& look, const Figure& figure);
/// A colour that clothes have: mostly dark or muted, sometimes bright.
[[nodiscard]] Rgb cloth_color(Random& random);

}  // namespace wayside::drivers::synthetic
