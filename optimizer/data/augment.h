// SPDX-License-Identifier: Apache-2.0
// Augmentation: draws one training picture from one or four labelled pictures, reproducibly.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "optimizer/data/dataset.h"

namespace wayside::optimizer {

/// Grey of letterbox bars; the usual value of this family of detectors, and what the agent pads with.
inline constexpr std::uint8_t kPadValue = 114;

/// Probabilities 0..1 and ranges; the defaults are those of the shipped recipe.
struct AugmentOptions {
  double mosaic = 0.4;                      ///< chance that four pictures are joined around a random centre
  double scale_min = 0.6, scale_max = 1.7;  ///< zoom relative to the letterboxed picture, log-uniform
  double flip = 0.5;
  double brightness = 0.25;     ///< additive, as a fraction of 255, +-
  double contrast = 0.35;       ///< multiplicative around the mean grey, 1 +-
  double saturation = 0.5;      ///< 1 +-
  double white_balance = 0.12;  ///< gain of each channel, 1 +-
  double grey = 0.1;
  double blur = 0.15;         ///< 3x3 mean
  double noise = 0.3;         ///< chance of Gaussian noise
  double noise_sigma = 8;     ///< largest sigma, of 255
  double min_visible = 0.35;  ///< an object of which less remains in the crop becomes an ignored region
  double min_side_px = 5;     ///< so does one whose longer side is shorter than this
};

using Random = std::mt19937_64;

/// Letterboxes `sample` into width_px x height_px exactly as the agent does: largest size that fits, centred, bars of
/// kPadValue, bilinear. Boxes are moved along. No randomness: for calibration and evaluation.
Sample letterbox(const Sample& sample, int width_px, int height_px);

/// One training picture of width_px x height_px. `pool` must hold one sample, or four for a mosaic to be possible.
Sample augment(std::span<const Sample* const> pool, int width_px, int height_px, const AugmentOptions& options,
               Random& random);

}  // namespace wayside::optimizer
