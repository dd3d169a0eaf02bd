// SPDX-License-Identifier: Apache-2.0
// Street furniture: what stands about, hides people and is none of the classes.
#pragma once

#include <cstdint>

#include "drivers/camera/synthetic/pen.h"

namespace wayside::drivers::synthetic {

enum class Furniture : std::uint8_t {
  tree,
  bush,
  lamp,
  bin,
  bench,
  hydrant,
  sign,
  bollard,
  cabinet,
  shelter,
  traffic_light,
  column,
  planter
};
inline constexpr int kFurnitureKinds = 13;

void draw_furniture(const Pen& pen, Furniture kind, std::uint64_t seed, const Pose& pose);
void cast_furniture_shadow(const Pen& pen, Furniture kind, std::uint64_t seed, const Pose& pose);

}  // namespace wayside::drivers::synthetic
