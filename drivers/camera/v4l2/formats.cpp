// SPDX-License-Identifier: Apache-2.0
// Choosing among offered formats, and where the planes lie.
#include "drivers/camera/v4l2/formats.h"

#include <linux/videodev2.h>

#include <algorithm>
#include <format>
#include <string>
#include <tuple>

namespace wayside::drivers {
namespace {

using base::PixelFormat;

// Rates are fractions such as 1001/30000: 29.97 Hz reaches a wish of 30 Hz.
constexpr double kRateTolerance = 0.99;

constexpr V4l2Code kCodes[] = {
    {V4L2_PIX_FMT_NV12, PixelFormat::nv12, 1},   {V4L2_PIX_FMT_NV12M, PixelFormat::nv12, 2},
    {V4L2_PIX_FMT_YUV420, PixelFormat::i420, 1}, {V4L2_PIX_FMT_YUV420M, PixelFormat::i420, 3},
    {V4L2_PIX_FMT_YUYV, PixelFormat::yuyv, 1},   {V4L2_PIX_FMT_MJPEG, PixelFormat::mjpeg, 1},
    {V4L2_PIX_FMT_JPEG, PixelFormat::mjpeg, 1},  {V4L2_PIX_FMT_RGB24, PixelFormat::rgb24, 1},
    {V4L2_PIX_FMT_GREY, PixelFormat::gray8, 1},
};

std::uint32_t closest_step(std::uint32_t wanted, std::uint32_t min, std::uint32_t max, std::uint32_t step) {
  if (wanted <= min) return min;
  if (wanted >= max) return max;
  const std::uint32_t unit = std::max<std::uint32_t>(step, 1);
  const std::uint32_t steps = (wanted - min + unit - 1) / unit;  // upwards, so that the wish is covered
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(max, min + std::uint64_t{steps} * unit));
}

/// 0 exact, 1 covers the wish, 2 smaller.
int size_rank(V4l2Size size, V4l2Size wanted) {
  if (size == wanted) return 0;
  return size.width_px >= wanted.width_px && size.height_px >= wanted.height_px ? 1 : 2;
}

std::uint64_t pixels(V4l2Size size) { return std::uint64_t{size.width_px} * size.height_px; }

}  // namespace

std::span<const V4l2Code> v4l2_codes() { return kCodes; }

std::string fourcc_text(std::uint32_t fourcc) {
  std::string text(4, '?');
  for (unsigned i = 0; i < 4; ++i) {
    const auto letter = static_cast<char>(fourcc >> (8 * i) & 0xFF);
    if (letter >= ' ' && letter <= '~') text[i] = letter;
  }
  return text;
}

V4l2Size closest_size(std::span<const V4l2SizeRange> ranges, V4l2Size wanted) {
  V4l2Size best{};
  // Smaller is better among those that cover the wish, larger among those that do not.
  const auto key = [&](V4l2Size size) {
    const int rank = size_rank(size, wanted);
    const auto area = static_cast<std::int64_t>(pixels(size));
    return std::tuple(rank, rank == 2 ? -area : area);
  };
  for (const V4l2SizeRange& range : ranges) {
    const V4l2Size size{closest_step(wanted.width_px, range.min_width_px, range.max_width_px, range.step_width_px),
                        closest_step(wanted.height_px, range.min_height_px, range.max_height_px, range.step_height_px)};
    if (best.width_px == 0 || key(size) < key(best)) best = size;
  }
  return best;
}

V4l2Interval closest_interval(std::span<const V4l2Interval> offered, double rate_hz) {
  V4l2Interval best{};
  const auto better = [&](const V4l2Interval& a, const V4l2Interval& b) {
    if (rate_hz <= 0) {  // fastest up to the default, else slowest
      const bool a_fits = a.rate_hz() * kRateTolerance <= kDefaultV4l2RateHz;
      const bool b_fits = b.rate_hz() * kRateTolerance <= kDefaultV4l2RateHz;
      if (a_fits != b_fits) return a_fits;
      return a_fits ? a.rate_hz() > b.rate_hz() : a.rate_hz() < b.rate_hz();
    }
    const bool a_reaches = a.rate_hz() >= rate_hz * kRateTolerance;
    const bool b_reaches = b.rate_hz() >= rate_hz * kRateTolerance;
    if (a_reaches != b_reaches) return a_reaches;
    return a_reaches ? a.rate_hz() < b.rate_hz() : a.rate_hz() > b.rate_hz();
  };
  for (const V4l2Interval& interval : offered) {
    if (interval.numerator == 0 || interval.denominator == 0) continue;
    if (best.numerator == 0 || better(interval, best)) best = interval;
  }
  return best;
}

std::size_t best_candidate(std::span<const V4l2Candidate> candidates, V4l2Size wanted, double rate_hz) {
  const auto key = [&](std::size_t index) {
    const V4l2Candidate& candidate = candidates[index];
    const int rank = size_rank(candidate.size, wanted);
    const auto area = static_cast<std::int64_t>(pixels(candidate.size));
    const bool slow = candidate.interval.numerator != 0 && candidate.interval.rate_hz() < rate_hz * kRateTolerance;
    return std::tuple(rank, rank == 2 ? -area : std::int64_t{0}, slow, index);
  };
  std::size_t best = 0;
  for (std::size_t index = 1; index < candidates.size(); ++index) {
    if (key(index) < key(best)) best = index;
  }
  return best;
}

base::Result<std::array<V4l2PlaneLayout, 3>> plane_layout(const V4l2Code& code, V4l2Size size,
                                                          const std::array<std::uint32_t, 3>& bytes_per_line) {
  std::array<V4l2PlaneLayout, 3> layout{};
  if (code.format == PixelFormat::mjpeg) return layout;
  const std::size_t width = size.width_px;
  const std::size_t height = size.height_px;
  const std::size_t half_height = (height + 1) / 2;
  const std::size_t stride = bytes_per_line[0];
  const std::size_t pixel_bytes = code.format == PixelFormat::rgb24 ? 3 : code.format == PixelFormat::yuyv ? 2 : 1;
  const bool separate = code.memory_planes > 1;
  layout[0] = {0, 0, stride, stride * height};
  bool fits = stride >= width * pixel_bytes;
  std::size_t offset = separate ? 0 : layout[0].size_bytes;
  for (unsigned plane = 1; plane < base::plane_count(code.format); ++plane) {
    const bool half = code.format == PixelFormat::i420;  // chroma lines are half as long (pixfmt-yuv-planar.rst)
    const std::size_t chroma_stride = separate ? bytes_per_line[plane] : half ? stride / 2 : stride;
    layout[plane] = {separate ? plane : 0, offset, chroma_stride, chroma_stride * half_height};
    if (!separate) offset += layout[plane].size_bytes;
    fits = fits && chroma_stride >= (width + 1) / 2 * (half ? 1 : 2);
  }
  if (!fits) {
    return base::fail(base::Code::unsupported, std::format("{}x{} {}: the driver's lines of {} bytes are too short",
                                                           width, height, base::to_string(code.format), stride));
  }
  return layout;
}

CameraFormat judge(const CameraRequest& request, PixelFormat format, V4l2Size size, double rate_hz) {
  CameraFormat result{Verdict::valid, {}, format, size.width_px, size.height_px, rate_hz};
  const auto adjust = [&result](const std::string& why) {
    result.verdict = Verdict::adjusted;
    result.why += (result.why.empty() ? "" : "; ") + why;
  };
  if (request.width_px != 0 && (size.width_px != request.width_px || size.height_px != request.height_px)) {
    adjust(std::format("asked {}x{}, the nearest that the camera offers is {}x{}", request.width_px, request.height_px,
                       size.width_px, size.height_px));
  }
  const bool off_rate = rate_hz < request.rate_hz * kRateTolerance || rate_hz * kRateTolerance > request.rate_hz;
  if (request.rate_hz > 0 && rate_hz <= 0) {
    adjust(std::format("asked {:.4g} Hz, the camera does not tell its rate", request.rate_hz));
  } else if (request.rate_hz > 0 && off_rate) {
    adjust(std::format("asked {:.4g} Hz, the nearest at this size is {:.4g} Hz", request.rate_hz, rate_hz));
  }
  if (!request.formats.empty() && format != request.formats.front()) {
    adjust(std::format("asked {}, which does not give this size and rate; using {}",
                       base::to_string(request.formats.front()), base::to_string(format)));
  }
  return result;
}

}  // namespace wayside::drivers
