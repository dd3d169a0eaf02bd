// SPDX-License-Identifier: Apache-2.0
// Splits a stream of concatenated JPEG files (as UVC cameras and `ffmpeg -f mjpeg` write it) into pictures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace wayside::drivers {

/// One piece of the stream: a whole JPEG, or a stretch that is none.
struct JpegPiece {
  std::size_t size_bytes = 0;  ///< bytes from the start of the input; 0 only for empty input
  std::uint32_t width_px = 0;  ///< from the frame header; 0 when damaged
  std::uint32_t height_px = 0;
  std::string_view damage;  ///< why this is not a JPEG; empty when it is one
};

/// Takes the first piece of `stream` by walking the markers (ITU-T T.81, B.1.1: segments have a length, entropy-coded
/// data end at a marker other than RSTn), so that a thumbnail inside an application segment is not taken for a picture.
/// A damaged piece ends before the next start-of-image marker that is followed by another marker, or at the end.
/// Checks structure only: damage inside the entropy-coded data shows when the picture is decoded.
[[nodiscard]] JpegPiece first_jpeg(std::span<const std::byte> stream);

}  // namespace wayside::drivers
