// SPDX-License-Identifier: Apache-2.0
// MotionLabeller: boxes of what moves before a camera that stands still, for scenes that no teacher model knows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "optimizer/data/labels.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {

struct MotionOptions {
  int threshold = 32;           ///< least difference of a colour channel to the background, 0..255
  int closing_px = 12;          ///< gaps up to twice this are closed: windows of a car that look like asphalt
  double least_area = 0.004;    ///< share of the picture under which a region is noise
  double doubtful_area = 0.02;  ///< share under which it is an ignored region: a bumper that enters the picture
  int class_id = 1;             ///< what moves here; a car park shows cars
};

/// The background is the median of each pixel over all frames given to create(); a change of exposure (the median
/// difference of a channel) is taken off each frame. Works at a quarter of the resolution.
class MotionLabeller {
 public:
  /// Bound on the frames from which the background is made, evenly spaced ones serve.
  static constexpr std::size_t kMaxBackgroundFrames = 101;

  /// Errors: invalid_argument (fewer than 3 frames, or frames of different or too small sizes).
  static base::Result<MotionLabeller> create(std::span<const Picture> frames, const MotionOptions& options);

  /// Boxes in px of `frame`, which must have the size of the background's frames.
  [[nodiscard]] std::vector<LabelBox> label(const Picture& frame) const;

  /// `frame` with what moves multiplied by `colour` (0..1 a channel): one white car becomes cars of all colours.
  [[nodiscard]] Picture repaint(Picture frame, const std::array<double, 3>& colour) const;

 private:
  MotionLabeller(Picture background, const MotionOptions& options)
      : background_(std::move(background)), options_(options) {}
  [[nodiscard]] std::vector<std::uint8_t> mask(const Picture& small) const;

  Picture background_;
  MotionOptions options_;
};

}  // namespace wayside::optimizer
