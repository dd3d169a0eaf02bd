// SPDX-License-Identifier: Apache-2.0
// Pictures made in memory for codec and camera tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/image.h"

namespace wayside::base::test {

/// Owns the bytes behind a view.
struct Picture {
  std::vector<std::uint8_t> bytes;
  ImageView view;
};

/// A smooth picture (gradients and a bright disc), so that JPEG keeps it nearly as it is.
/// i420, nv12, gray8 or rgb24; `shift` moves the disc.
Picture make_picture(PixelFormat format, std::uint32_t width_px, std::uint32_t height_px, unsigned shift = 0,
                     ColorRange range = ColorRange::full);

inline Picture make_picture(PixelFormat format, std::uint32_t width_px, std::uint32_t height_px, unsigned shift,
                            ColorRange range) {
  Picture picture;
  picture.view = {format, range, width_px, height_px, {}};
  const std::size_t half_width = (width_px + 1) / 2;
  const std::size_t half_height = (height_px + 1) / 2;
  const bool rgb = format == PixelFormat::rgb24;
  const std::size_t luma_stride = rgb ? width_px * std::size_t{3} : width_px;
  const std::size_t luma_bytes = luma_stride * height_px;
  const std::size_t chroma_bytes = half_width * half_height;
  const bool has_chroma = format == PixelFormat::i420 || format == PixelFormat::nv12;
  picture.bytes.resize(luma_bytes + (has_chroma ? 2 * chroma_bytes : 0));
  std::uint8_t* data = picture.bytes.data();
  for (std::size_t y = 0; y < height_px; ++y) {
    for (std::size_t x = 0; x < width_px; ++x) {
      const long dx = static_cast<long>(x) - static_cast<long>(width_px / 2 + shift);
      const long dy = static_cast<long>(y) - static_cast<long>(height_px / 2);
      const bool disc = dx * dx + dy * dy < static_cast<long>(height_px) * height_px / 16;
      const auto value = static_cast<std::uint8_t>(disc ? 200 : 40 + 100 * x / width_px + 50 * y / height_px);
      for (std::size_t c = 0; c < (rgb ? 3U : 1U); ++c) {
        data[y * luma_stride + x * (rgb ? 3 : 1) + c] = static_cast<std::uint8_t>(value - (rgb ? 10 * c : 0));
      }
    }
  }
  picture.view.planes[0] = {data, luma_stride, luma_bytes, -1};
  if (!has_chroma) return picture;
  std::uint8_t* chroma = data + luma_bytes;
  const bool nv12 = format == PixelFormat::nv12;
  for (std::size_t y = 0; y < half_height; ++y) {
    for (std::size_t x = 0; x < half_width; ++x) {
      const auto blue = static_cast<std::uint8_t>(100 + 40 * x / half_width);
      const auto red = static_cast<std::uint8_t>(150 - 40 * y / half_height);
      const std::size_t at = y * half_width + x;
      chroma[nv12 ? 2 * at : at] = blue;
      chroma[nv12 ? 2 * at + 1 : chroma_bytes + at] = red;
    }
  }
  if (nv12) {
    picture.view.planes[1] = {chroma, 2 * half_width, 2 * chroma_bytes, -1};
  } else {
    picture.view.planes[1] = {chroma, half_width, chroma_bytes, -1};
    picture.view.planes[2] = {chroma + chroma_bytes, half_width, chroma_bytes, -1};
  }
  return picture;
}

}  // namespace wayside::base::test
