// SPDX-License-Identifier: Apache-2.0
// JPEG files of any sampling, written with libjpeg directly: what the decoder meets beyond our own encoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wayside::base::test {

struct JpegKind {
  int luma_x = 2, luma_y = 2;  ///< sampling factors of luma; chroma has 1x1: 2x2 is 4:2:0, 2x1 4:2:2, 1x1 4:4:4
  bool progressive = false;
  bool cmyk = false;
  unsigned restart_rows = 0;  ///< restart markers every so many rows of MCUs; 0: none
};

/// Encodes luma = 60 + x, blue = 90 + y, red = 150 (YCbCr at full resolution), quality 100.
std::vector<std::byte> make_jpeg(std::uint32_t width_px, std::uint32_t height_px, const JpegKind& kind);

}  // namespace wayside::base::test
