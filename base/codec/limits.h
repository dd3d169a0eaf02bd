// SPDX-License-Identifier: Apache-2.0
// The largest pictures that the decoders accept; they bound the memory that untrusted input can make us take.
#pragma once

#include <cstdint>

namespace wayside::base {

/// 8K UHD (7680x4320 = 33.2 Mpx), the largest picture of a camera that one can buy, fits; 100 MB as rgb24.
inline constexpr std::uint64_t kMaxImagePixels = std::uint64_t{1} << 25;
/// Longest side; twice the long side of 8K UHD, so that panoramas pass.
inline constexpr std::uint32_t kMaxImageSidePx = 16384;

/// True for a picture with 1 <= width, height and within both bounds.
[[nodiscard]] constexpr bool image_size_ok(std::uint64_t width_px, std::uint64_t height_px) {
  return width_px >= 1 && height_px >= 1 && width_px <= kMaxImageSidePx && height_px <= kMaxImageSidePx &&
         width_px * height_px <= kMaxImagePixels;
}

}  // namespace wayside::base
