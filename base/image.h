// SPDX-License-Identifier: Apache-2.0
// ImageView: a borrowed picture in memory, the common word between cameras (drivers), pre-processing (accel) and tools.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wayside::base {

/// Memory layouts, named as V4L2 names them. YUV is BT.601 limited range unless the source says otherwise.
enum class PixelFormat {
  nv12,   ///< 2 planes: Y [h,w]; UV interleaved [h/2,w/2,2] (h and w rounded up to even)
  i420,   ///< 3 planes: Y [h,w]; U, V [h/2,w/2] each
  yuyv,   ///< 1 plane: Y0 U Y1 V, 4 bytes for 2 px
  rgb24,  ///< 1 plane: R G B
  gray8,  ///< 1 plane: Y
  mjpeg,  ///< 1 plane: one JPEG file; size_bytes long, stride 0; must be decoded before use
};

[[nodiscard]] std::string_view to_string(PixelFormat format);

struct PlaneView {
  const std::uint8_t* data = nullptr;
  std::size_t stride_bytes = 0;  ///< distance of two rows; 0 for compressed data
  std::size_t size_bytes = 0;    ///< readable bytes from data on
  int dmabuf_fd = -1;            ///< borrowed dma-buf behind `data`, or -1
};

enum class ColorRange : std::uint8_t { limited, full };  ///< Y 16..235 or 0..255 (JPEG)

/// A picture somebody else owns; copying copies the view only.
struct ImageView {
  PixelFormat format = PixelFormat::nv12;
  ColorRange range = ColorRange::limited;
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  std::array<PlaneView, 3> planes{};  ///< unused planes have data == nullptr
};

/// Number of planes of a format (1..3).
[[nodiscard]] constexpr unsigned plane_count(PixelFormat format) {
  return format == PixelFormat::nv12 ? 2 : format == PixelFormat::i420 ? 3 : 1;
}

}  // namespace wayside::base
