// SPDX-License-Identifier: Apache-2.0
// JpegEncoder: baseline JPEG from RGB or YUV pictures; for snapshots, recordings and test material.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/image.h"
#include "base/result.h"

namespace wayside::base {

/// Not thread-safe: one caller at a time. Its buffers grow to the largest picture and stay.
class JpegEncoder {
 public:
  static Result<JpegEncoder> create();
  JpegEncoder(JpegEncoder&&) noexcept;
  JpegEncoder& operator=(JpegEncoder&&) noexcept;
  ~JpegEncoder();

  /// Encodes rgb24 (as YCbCr 4:2:0), i420, nv12 (both 4:2:0 without resampling) or gray8; limited-range YUV is
  /// expanded to the full range that JFIF prescribes. quality: 1 (smallest) .. 100 (libjpeg's scale).
  /// The bytes are valid until the next encode(). Errors: invalid_argument (size, quality, plane too small),
  /// unsupported (other pixel formats).
  Result<std::span<const std::byte>> encode(const ImageView& image, int quality);

 private:
  struct State;
  explicit JpegEncoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wayside::base
