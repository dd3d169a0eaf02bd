// SPDX-License-Identifier: Apache-2.0
// BT.601 YUV to RGB in fixed point, in the form that 16-bit SIMD multiplies compute exactly.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/image.h"

namespace wayside::accel::preprocess {

/// Factors in 1/2048: a term is round((value - 128) * 256 * factor / 32768) (pmulhrsw, sqrdmulh), which is in 1/16.
/// ITU-R BT.601: Kr = 0.299, Kb = 0.114; limited range: Y 16..235, U and V 16..240.
struct ColorFactors {
  std::int16_t luma, luma_offset;  ///< offset in 1/16: the term of Y = 128
  std::int16_t v_to_red, u_to_green, v_to_green, u_to_blue;
};

[[nodiscard]] constexpr ColorFactors color_factors(base::ColorRange range) {
  constexpr double kRed = 0.299, kBlue = 0.114, kGreen = 1 - kRed - kBlue;
  const bool limited = range == base::ColorRange::limited;
  const double luma = limited ? 255.0 / 219 : 1;
  const double chroma = limited ? 255.0 / 224 : 1;
  const auto fixed = [](double factor) { return static_cast<std::int16_t>(factor * 2048 + 0.5); };
  return {fixed(luma),
          static_cast<std::int16_t>(luma * (limited ? 128 - 16 : 128) * 16 + 0.5),
          fixed(chroma * 2 * (1 - kRed)),
          fixed(chroma * 2 * (1 - kBlue) * kBlue / kGreen),
          fixed(chroma * 2 * (1 - kRed) * kRed / kGreen),
          fixed(chroma * 2 * (1 - kBlue))};
}

/// One term of the sum, in 1/16; `centred` is value - 128.
[[nodiscard]] constexpr int color_term(int centred, int factor) { return (centred * 256 * factor + 0x4000) >> 15; }
/// From 1/16 to a picture value.
[[nodiscard]] constexpr std::uint8_t color_value(int sixteenths) {
  return static_cast<std::uint8_t>(std::clamp((sixteenths + 8) >> 4, 0, 255));
}
/// Luma of full-range RGB in 1/256 (77 + 150 + 29 = 256: BT.601 rounded so that white stays white).
inline constexpr int kGrayRed = 77, kGrayGreen = 150, kGrayBlue = 29;
[[nodiscard]] constexpr std::uint8_t gray_of(int red, int green, int blue) {
  return static_cast<std::uint8_t>((kGrayRed * red + kGrayGreen * green + kGrayBlue * blue + 128) >> 8);
}

}  // namespace wayside::accel::preprocess
