// SPDX-License-Identifier: Apache-2.0
// Trucks and buses: box lorries, delivery vans, tippers, tankers, city buses.
#pragma once

#include "drivers/camera/synthetic/vehicle.h"

namespace wayside::drivers::synthetic {

enum class TruckKind : std::uint8_t { van, box, tipper, tanker, articulated, bus };

struct TruckLook {
  TruckKind kind = TruckKind::box;
  float length_m = 7.5F, width_m = 2.4F, height_m = 3.2F;
  Rgb cab, body, trim, glass;
  int decoration = 0;  ///< 0 plain, 1 stripe, 2 lettering, 3 lower half in the trim colour
  Plate plate;
};
[[nodiscard]] TruckLook make_truck(std::uint64_t seed, std::uint64_t vehicle);
PlateMark draw_truck(const Pen& pen, const TruckLook& look, const Pose& pose, float turn, bool parked);
void cast_truck_shadow(const Pen& pen, const TruckLook& look, const Pose& pose);

}  // namespace wayside::drivers::synthetic
