// SPDX-License-Identifier: Apache-2.0
// Picture: an RGB picture in memory, read from JPEG, PNG or BMP, and the cheap resampling that training needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer {

/// Interleaved RGB, rows without padding: rgb is u8 [height_px, width_px, 3].
struct Picture {
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint8_t> rgb;

  Picture() = default;
  Picture(int width, int height)
      : width_px(width),
        height_px(height),
        rgb(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3) {}
  [[nodiscard]] const std::uint8_t* row(int y) const {
    return rgb.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px) * 3;
  }
  [[nodiscard]] std::uint8_t* row(int y) {
    return rgb.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px) * 3;
  }
};

/// Largest width or height that is read; larger pictures answer Code::unsupported.
inline constexpr int kMaxPictureSidePx = 16384;

/// Decodes one JPEG. Errors: corrupt, unsupported.
base::Result<Picture> decode_jpeg(std::span<const std::uint8_t> bytes);

/// Reads a .jpg/.jpeg, .png or uncompressed 24-bit .bmp file. Errors: not_found, corrupt, unsupported; each names the
/// file.
base::Result<Picture> read_picture(const std::filesystem::path& path);

/// Reads a whole file. Errors: not_found, io.
base::Result<std::vector<std::uint8_t>> read_bytes(const std::filesystem::path& path);

/// Mean of 2x2 px; odd last rows and columns are dropped. Both sides must be >= 2.
Picture halve(const Picture& picture);

/// The part of the picture that maps to an output: out(x,y) = in(x0_px + x*step_x, y0_px + y*step_y), px centres
/// at .5, bilinear. What lies outside the picture gets `pad`.
struct Window {
  double x0_px = 0, y0_px = 0;
  double step_x = 1, step_y = 1;
};

/// Draws `window` of `in` into rows [y0,y1) and columns [x0,x1) of `out`. Steps above 2 alias: halve first.
struct Region {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};
void resample(const Picture& in, const Window& window, const Region& region, std::uint8_t pad, Picture& out);

}  // namespace wayside::optimizer
