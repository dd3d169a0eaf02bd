// SPDX-License-Identifier: Apache-2.0
// Cars: seven body shapes in the colours of the street.
#pragma once

#include "drivers/camera/synthetic/vehicle.h"

namespace wayside::drivers::synthetic {

struct CarLook {
  int body = 0;  ///< index into the table of shapes
  float scale = 1;
  Rgb paint, roof, rim, glass;
  float mirror = 0.2F;  ///< of the window panes
  Plate plate;
  bool rack = false, taxi = false, sporty = false;
  [[nodiscard]] float length_m() const;
  [[nodiscard]] float width_m() const;
  [[nodiscard]] float height_m() const;
};
[[nodiscard]] CarLook make_car(std::uint64_t seed, std::uint64_t vehicle);

/// `turn`: rotation of the wheels in turns. Returns where the plate that faces the camera lies.
PlateMark draw_car(const Pen& pen, const CarLook& look, const Pose& pose, float turn, bool parked);
void cast_car_shadow(const Pen& pen, const CarLook& look, const Pose& pose);
/// A colour that cars have: mostly white, grey and black.
[[nodiscard]] Rgb car_color(Random& random);

}  // namespace wayside::drivers::synthetic
