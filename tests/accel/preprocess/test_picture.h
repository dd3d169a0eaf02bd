// SPDX-License-Identifier: Apache-2.0
// A picture in memory of exactly the size that its format needs, so that sanitizers see every byte read too much.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "base/image.h"

namespace wayside::accel::test {

struct TestPicture {
  base::ImageView view;
  std::array<std::vector<std::uint8_t>, 3> planes;
};

/// `value(plane, index)` gives each byte; `extra` bytes pad each row but the last.
inline TestPicture make_picture(base::PixelFormat format, std::uint32_t width, std::uint32_t height, std::size_t extra,
                                const std::function<std::uint8_t(unsigned, std::size_t)>& value) {
  TestPicture picture;
  picture.view = {.format = format, .width_px = width, .height_px = height};
  const std::size_t half_width = (width + 1) / 2, half_height = (height + 1) / 2;
  for (unsigned i = 0; i < base::plane_count(format); ++i) {
    std::size_t row_bytes = width, rows = height;
    if (format == base::PixelFormat::yuyv) row_bytes = 4 * half_width;
    if (format == base::PixelFormat::rgb24) row_bytes = 3UL * width;
    if (i > 0) {
      row_bytes = format == base::PixelFormat::nv12 ? 2 * half_width : half_width;
      rows = half_height;
    }
    auto& plane = picture.planes[i];
    plane.resize((row_bytes + extra) * (rows - 1) + row_bytes);
    for (std::size_t k = 0; k < plane.size(); ++k) plane[k] = value(i, k);
    picture.view.planes[i] = {.data = plane.data(), .stride_bytes = row_bytes + extra, .size_bytes = plane.size()};
  }
  return picture;
}

inline TestPicture random_picture(base::PixelFormat format, std::uint32_t width, std::uint32_t height,
                                  std::size_t extra, std::mt19937& random) {
  return make_picture(format, width, height, extra,
                      [&](unsigned, std::size_t) { return static_cast<std::uint8_t>(random()); });
}

inline constexpr std::array kReadableFormats = {base::PixelFormat::nv12, base::PixelFormat::i420,
                                                base::PixelFormat::yuyv, base::PixelFormat::rgb24,
                                                base::PixelFormat::gray8};

}  // namespace wayside::accel::test
