// SPDX-License-Identifier: Apache-2.0
// Overlay: boxes and labels drawn into a picture, for snapshots and documentation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "agent/vision/detection.h"
#include "agent/vision/model_card.h"
#include "base/image.h"
#include "base/result.h"

namespace wayside::agent {

/// An RGB24 picture of our own. pixels: [height_px, width_px, 3], no padding.
struct RgbPicture {
  std::uint32_t width_px = 0, height_px = 0;
  std::vector<std::uint8_t> pixels{};
  /// The picture as a view, e.g. for base::JpegEncoder; valid as long as this object is unchanged.
  [[nodiscard]] base::ImageView view() const;
};

struct Rgb {
  std::uint8_t red = 0, green = 0, blue = 0;
};

/// A full-size RGB copy of any picture that Preprocessor reads. Allocates; not for the frame path.
base::Result<RgbPicture> to_rgb(const base::ImageView& source);

/// Rectangle of `thickness_px` lines inside the given edges (rounded, clipped to the picture).
void draw_box(RgbPicture& picture, const Detection& box, Rgb color, int thickness_px);

/// Text in a 5x7 font of `scale` px dots on a filled bar; upper left corner at (x_px, y_px); clipped to the picture.
/// Has A-Z, a-z (drawn as capitals), 0-9 and " .,:;%-_/()[]+=#?!'<>*"; anything else is drawn as '?'.
void draw_text(RgbPicture& picture, int x_px, int y_px, std::string_view text, Rgb ink, Rgb background, int scale);

/// Every detection as a box in its class's colour with "label 87%".
void draw_detections(RgbPicture& picture, std::span<const Detection> detections, const ModelCard& card);

}  // namespace wayside::agent
