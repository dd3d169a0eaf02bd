// SPDX-License-Identifier: Apache-2.0
// Detection: one thing that a model saw, in pixels of the camera's picture.
#pragma once

#include <algorithm>
#include <cstdint>

namespace wayside::agent {

struct Detection {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;  ///< frame pixels, x1/y1 exclusive; inside the frame, x0 < x1, y0 < y1
  float score = 0;                       ///< 0..1
  std::int32_t class_id = 0;             ///< index into ModelCard::labels
};

/// Intersection over union of two boxes; 0 when they do not touch.
[[nodiscard]] inline float iou(const Detection& a, const Detection& b) {
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  if (width <= 0 || height <= 0) return 0;
  const float both = width * height;
  return both / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - both);
}

}  // namespace wayside::agent
