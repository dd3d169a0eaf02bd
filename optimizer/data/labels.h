// SPDX-License-Identifier: Apache-2.0
// Labels: boxes of one picture as YOLO text files hold them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer {

/// Marks a region whose content is unknown: neither trained as background nor counted as a false alarm.
inline constexpr int kIgnoreClass = -1;

/// Corners in px of the picture that it belongs to; x1/y1 exclusive.
struct LabelBox {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  int class_id = 0;
};

[[nodiscard]] inline float width(const LabelBox& box) { return box.x1 - box.x0; }
[[nodiscard]] inline float height(const LabelBox& box) { return box.y1 - box.y0; }
/// Intersection over union; 0 for empty boxes.
[[nodiscard]] float overlap(const LabelBox& a, const LabelBox& b);
/// Intersection over the area of `inner`: how much of it lies within `outer`.
[[nodiscard]] float covered(const LabelBox& inner, const LabelBox& outer);

/// How class numbers of a file become ours; a class that is not listed is dropped. Empty map: numbers are kept.
using ClassMap = std::map<int, int>;

/// One object a line: "class x_center y_center width height", fractions of the picture; further columns are ignored.
/// The class -1 is kIgnoreClass and is never mapped. Errors: corrupt (names the line).
base::Result<std::vector<LabelBox>> parse_yolo(std::string_view text, int width_px, int height_px,
                                               const ClassMap& classes);

/// Writes what parse_yolo reads. Errors: io.
base::Result<void> write_yolo(const std::filesystem::path& path, const std::vector<LabelBox>& boxes, int width_px,
                              int height_px);

}  // namespace wayside::optimizer
