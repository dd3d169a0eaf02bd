// SPDX-License-Identifier: Apache-2.0
// PngDecoder: PNG to RGB24.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/image.h"
#include "base/result.h"

namespace wayside::base {

/// Not thread-safe. Keeps its pixel buffer between pictures.
class PngDecoder {
 public:
  /// Decodes any PNG to rgb24 (8 bit, sRGB; transparency over black). The view is valid until the next decode().
  /// Errors: corrupt, exhausted (larger than kMaxImagePixels or kMaxImageSidePx). Usable after every error.
  Result<ImageView> decode(std::span<const std::byte> png);

 private:
  std::vector<std::uint8_t> pixels_;
};

}  // namespace wayside::base
