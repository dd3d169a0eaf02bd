// SPDX-License-Identifier: Apache-2.0
// YUV4MPEG2 (.y4m): header and frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/image.h"
#include "base/result.h"

namespace wayside::drivers {

/// How chroma lies in the file.
enum class Y4mChroma { c420, c422, mono };

/// The stream header. Source: yuv4mpeg(5) of mjpegtools.
struct Y4mHeader {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  double rate_hz = 0;  ///< 0: unknown in the file
  Y4mChroma chroma = Y4mChroma::c420;
  base::ColorRange range = base::ColorRange::limited;  ///< full with XCOLORRANGE=FULL
  std::size_t header_bytes = 0;

  [[nodiscard]] std::size_t frame_bytes() const;  ///< pixels of one frame, without its "FRAME" line
};

/// Longest header or frame line that is accepted; those of ffmpeg and mjpegtools are below 150 bytes.
inline constexpr std::size_t kMaxY4mLineBytes = 512;

/// Errors: corrupt (not Y4M or bad values), unsupported (interlaced, 4:4:4, more than 8 bit), exhausted (too large).
base::Result<Y4mHeader> parse_y4m_header(std::span<const std::byte> file);

/// One frame at the start of `rest`: the pixels, and how many bytes it takes with its line.
struct Y4mFrame {
  std::span<const std::byte> pixels;
  std::size_t size_bytes = 0;
};
/// Errors: corrupt (no "FRAME" line, or less data than a frame: the stream cannot go on).
base::Result<Y4mFrame> first_y4m_frame(const Y4mHeader& header, std::span<const std::byte> rest);

}  // namespace wayside::drivers
