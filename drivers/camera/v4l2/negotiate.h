// SPDX-License-Identifier: Apache-2.0
// Asking a V4L2 node what it offers and setting what was chosen.
#pragma once

#include <array>
#include <vector>

#include "drivers/camera/v4l2/device.h"
#include "drivers/camera/v4l2/formats.h"

namespace wayside::drivers {

/// What the node was set to.
struct V4l2StreamFormat {
  V4l2Code code;
  V4l2Size size;
  base::ColorRange range = base::ColorRange::limited;
  double rate_hz = 0;  ///< 0: unknown
  std::array<V4l2PlaneLayout, 3> planes{};
};

/// Chooses by the request, sets format and rate, and reads back what the driver made of them.
/// Errors: invalid_argument (width without height), unsupported (no format that we can read or that was asked for),
/// io (EBUSY: in use), disconnected.
/// `codes`: the formats to choose among.
base::Result<V4l2StreamFormat> negotiate(const V4l2Device& device, const CameraRequest& request,
                                         std::span<const V4l2Code> codes = v4l2_codes());

/// Every format of the node, also those that we cannot read: fourcc and its largest size.
struct V4l2Offer {
  std::uint32_t fourcc = 0;
  V4l2Size largest;
};
std::vector<V4l2Offer> offered_formats(const V4l2Device& device);

}  // namespace wayside::drivers
