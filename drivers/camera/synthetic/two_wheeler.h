// SPDX-License-Identifier: Apache-2.0
// Bicycles, motorcycles and scooters, with or without a rider.
#pragma once

#include "drivers/camera/synthetic/person.h"

namespace wayside::drivers::synthetic {

enum class TwoWheelerKind : std::uint8_t { bicycle, motorcycle, scooter };

struct TwoWheelerLook {
  TwoWheelerKind kind = TwoWheelerKind::bicycle;
  Rgb frame, seat;
  PersonLook rider;
  bool ridden = true;
  bool drop_bar = false;
  bool basket = false;
  float speed_mps = 4.5F;
};
[[nodiscard]] TwoWheelerLook make_two_wheeler(std::uint64_t seed, bool ridden);
/// `travelled_m` turns the wheels and the pedals.
void draw_two_wheeler(const Pen& pen, const TwoWheelerLook& look, const Pose& pose, float travelled_m);
void cast_two_wheeler_shadow(const Pen& pen, const TwoWheelerLook& look, const Pose& pose);

}  // namespace wayside::drivers::synthetic
