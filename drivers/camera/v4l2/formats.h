// SPDX-License-Identifier: Apache-2.0
// The choice of format, size and rate among what a V4L2 node offers; pure functions, and their memory layout.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/image.h"
#include "base/result.h"
#include "drivers/camera/camera.h"

namespace wayside::drivers {

/// A V4L2 format that we can read. Source: kernel Documentation/userspace-api/media/v4l/pixfmt-*.rst.
struct V4l2Code {
  std::uint32_t fourcc = 0;
  base::PixelFormat format = base::PixelFormat::nv12;
  unsigned memory_planes = 1;  ///< above 1: each plane of the picture in a buffer of its own ("M" formats)
};
/// In the order that we prefer where the user has no wish: what costs least to read first.
[[nodiscard]] std::span<const V4l2Code> v4l2_codes();
/// "YUYV", with unprintable letters as '?'.
[[nodiscard]] std::string fourcc_text(std::uint32_t fourcc);

/// Sizes from minimum to maximum in steps; a single size has minimum == maximum.
struct V4l2SizeRange {
  std::uint32_t min_width_px = 0, max_width_px = 0, step_width_px = 1;
  std::uint32_t min_height_px = 0, max_height_px = 0, step_height_px = 1;
};
/// Seconds between frames as the kernel counts them.
struct V4l2Interval {
  std::uint32_t numerator = 0;
  std::uint32_t denominator = 1;
  [[nodiscard]] double rate_hz() const { return numerator == 0 ? 0 : static_cast<double>(denominator) / numerator; }
};
struct V4l2Size {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  friend bool operator==(const V4l2Size&, const V4l2Size&) = default;
};

/// The wanted size, else the smallest that covers it, else the one with most pixels. `ranges` is not empty.
[[nodiscard]] V4l2Size closest_size(std::span<const V4l2SizeRange> ranges, V4l2Size wanted);
/// The slowest that reaches `rate_hz` (1 % tolerance), else the fastest; nothing (numerator 0) for an empty list.
[[nodiscard]] V4l2Interval closest_interval(std::span<const V4l2Interval> offered, double rate_hz);
/// Without a wish: the fastest up to this rate, which every USB camera calls its full speed.
inline constexpr double kDefaultV4l2RateHz = 30;

/// One way to run the camera.
struct V4l2Candidate {
  V4l2Code code;
  V4l2Size size;
  V4l2Interval interval;  ///< numerator 0: the driver does not say
};
/// Index of the best: right size before covering size before smaller, then rate reached, then order. Not empty.
[[nodiscard]] std::size_t best_candidate(std::span<const V4l2Candidate> candidates, V4l2Size wanted, double rate_hz);

/// Where one plane of a picture lies in a buffer.
struct V4l2PlaneLayout {
  unsigned memory_plane = 0;
  std::size_t offset_bytes = 0;
  std::size_t stride_bytes = 0;  ///< 0 for mjpeg
  std::size_t size_bytes = 0;    ///< 0 for mjpeg: as many as the buffer holds
};
/// Layout of `size` with the driver's bytes per line of each memory plane.
/// Errors: unsupported when a line is shorter than its pixels.
base::Result<std::array<V4l2PlaneLayout, 3>> plane_layout(const V4l2Code& code, V4l2Size size,
                                                          const std::array<std::uint32_t, 3>& bytes_per_line);

/// Verdict and reason for what the driver gave against what was asked.
[[nodiscard]] CameraFormat judge(const CameraRequest& request, base::PixelFormat format, V4l2Size size, double rate_hz);

}  // namespace wayside::drivers
