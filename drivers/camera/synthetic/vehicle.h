// SPDX-License-Identifier: Apache-2.0
// What all vehicles share: extruded hulls, wheels, lamps and number plates.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/camera/synthetic/pen.h"

namespace wayside::drivers::synthetic {

/// A point of a vehicle's outline seen from the side, with the half-width of the body there; metres.
struct ProfilePoint {
  float x, z, half_width;
};

/// A number plate: unique text per vehicle and its two colours.
struct Plate {
  std::array<char, 8> text{};  ///< zero-terminated, e.g. "WY 1234"
  Rgb background, ink;
};
[[nodiscard]] Plate make_plate(std::uint64_t vehicle);

/// Where a plate came to lie in the picture; `facing` is false when it is turned away or too oblique to read.
struct PlateMark {
  Bounds bounds;
  bool facing = false;
};

/// Draws the strips between successive points (front bottom, over the top, to rear bottom) and both flanks, as far as
/// they face the camera. At most 12 points.
void draw_hull(const Pen& pen, const Pose& pose, std::span<const ProfilePoint> profile, Rgb color,
               const Finish& finish);
/// The quad of the strip after point `index`, for patches on it (lamps, windows).
void strip_corners(const Pose& pose, std::span<const ProfilePoint> profile, std::size_t index, Vec3 (&corners)[4]);
/// True if the flank on the left (side = 1) or right (side = -1) at `half_width` faces the camera.
[[nodiscard]] bool flank_visible(const Pen& pen, const Pose& pose, float half_width, float side);
/// A rectangle on a flank, between x0 and x1 ahead and z0 and z1 up.
void flank_quad(const Pen& pen, const Pose& pose, float side, float half_width, float x0, float x1, float z0, float z1,
                Rgb color, const Finish& finish = {});

struct WheelSpec {
  float x_m, outer_m;  ///< along the vehicle; half-width at the outer face, always positive
  float radius_m, tyre_m;
  float turn = 0;  ///< rotation in turns
  Rgb rim{170, 172, 176};
};
/// What shows of the tyres beneath the body; before the hull.
void draw_tyres(const Pen& pen, const Pose& pose, const WheelSpec& wheel);
/// Arch, tyre and rim on the flanks that face the camera; after the hull.
void draw_wheel_faces(const Pen& pen, const Pose& pose, const WheelSpec& wheel, bool arch);

/// end = 1: front, -1: rear; `x_m` always positive.
PlateMark draw_plate(const Pen& pen, const Pose& pose, const Plate& plate, float end, float x_m, float z_m);
/// Light of a pair of lamps as seen by the camera when on.
void lamp_glows(const Pen& pen, const Pose& pose, float x_m, float y_m, float z_m, float end, Rgb color,
                float radius_m);

}  // namespace wayside::drivers::synthetic
