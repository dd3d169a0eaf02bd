// SPDX-License-Identifier: Apache-2.0
// Street: everything about a scene that its seed decides: where the camera hangs, the road, the weather.
#pragma once

#include <cstdint>

#include "drivers/camera/synthetic/pen.h"

namespace wayside::drivers::synthetic {

enum class Weather : std::uint8_t { sunny, overcast, dusk, night, rain };

/// live: a fixed street camera as it would be mounted. varied: also unusual heights, lenses and looks, for training.
enum class Variety : std::uint8_t { live, varied };

/// Cross-section: the road lies at |y| < road_half, the pavements beside it, then yards up to the two rows of houses
/// (or parks). Traffic keeps to the right: towards +x at y < 0.
struct Street {
  std::uint64_t seed = 0;
  Weather weather = Weather::sunny;
  Light light;
  View::Setup camera;
  int lanes_each_way = 1;
  float lane_m = 3.2F;
  float parking_m = 0;  ///< width of the parking strip on each side, 0 = none
  float road_half_m = 0, pavement_m = 3;
  float near_wall_y_m = 0, far_wall_y_m = 0;  ///< of the houses behind the camera's side (negative) and opposite
  bool far_park = false;                      ///< trees instead of houses on the far side
  float zebra_x_m = 0;
  bool zebra = false;
  float traffic = 0.6F, crowd = 0.6F;  ///< 0..1, how full
  float blur = 0.1F;                   ///< weight of each neighbour in the lens blur, 0..0.15
  float noise_levels = 2;              ///< standard deviation of the sensor noise
  float gain = 1;                      ///< mean exposure
};
[[nodiscard]] Street make_street(std::uint64_t seed, Variety variety, int width_px, int height_px);

}  // namespace wayside::drivers::synthetic
