// SPDX-License-Identifier: Apache-2.0
// Format negotiation. Source: kernel Documentation/userspace-api/media/v4l/, vidioc-enum-fmt.rst,
// vidioc-enum-framesizes.rst, vidioc-enum-frameintervals.rst, vidioc-g-fmt.rst, vidioc-g-parm.rst.
#include "drivers/camera/v4l2/negotiate.h"

#include <linux/videodev2.h>

#include <algorithm>
#include <format>
#include <optional>

#include "base/codec/limits.h"

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;

// Bounds of the enumerations; vivid, the richest driver known, has 83 formats and 9 sizes.
constexpr std::uint32_t kMaxFormats = 256;
constexpr std::uint32_t kMaxSizes = 256;
constexpr std::uint32_t kMaxIntervals = 256;

constexpr double kMaxRateHz = 1000;  // above the fastest machine-vision cameras on USB

std::vector<std::uint32_t> enum_formats(const V4l2Device& device) {
  std::vector<std::uint32_t> result;
  for (std::uint32_t index = 0; index < kMaxFormats; ++index) {
    v4l2_fmtdesc format{};
    format.index = index;
    format.type = device.buffer_type();
    if (ioctl_retry(device.fd(), VIDIOC_ENUM_FMT, &format) != 0) break;
    result.push_back(format.pixelformat);
  }
  return result;
}

/// Empty where the driver does not enumerate sizes.
std::vector<V4l2SizeRange> enum_sizes(const V4l2Device& device, std::uint32_t fourcc) {
  std::vector<V4l2SizeRange> result;
  for (std::uint32_t index = 0; index < kMaxSizes; ++index) {
    v4l2_frmsizeenum size{};
    size.index = index;
    size.pixel_format = fourcc;
    if (ioctl_retry(device.fd(), VIDIOC_ENUM_FRAMESIZES, &size) != 0) break;
    if (size.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
      const auto& one = size.discrete;
      if (!base::image_size_ok(one.width, one.height)) continue;
      result.push_back({one.width, one.width, 1, one.height, one.height, 1});
      continue;
    }
    const auto& range = size.stepwise;  // also filled for continuous sizes, with steps of 1
    result.push_back(
        {range.min_width, range.max_width, range.step_width, range.min_height, range.max_height, range.step_height});
    break;
  }
  return result;
}

/// Empty where the driver does not enumerate intervals. A range gives its ends and, inside it, the wish.
std::vector<V4l2Interval> enum_intervals(const V4l2Device& device, std::uint32_t fourcc, V4l2Size size,
                                         double wanted_hz) {
  std::vector<V4l2Interval> result;
  for (std::uint32_t index = 0; index < kMaxIntervals; ++index) {
    v4l2_frmivalenum interval{};
    interval.index = index;
    interval.pixel_format = fourcc;
    interval.width = size.width_px;
    interval.height = size.height_px;
    if (ioctl_retry(device.fd(), VIDIOC_ENUM_FRAMEINTERVALS, &interval) != 0) break;
    if (interval.type == V4L2_FRMIVAL_TYPE_DISCRETE) {
      result.push_back({interval.discrete.numerator, interval.discrete.denominator});
      continue;
    }
    const V4l2Interval fastest{interval.stepwise.min.numerator, interval.stepwise.min.denominator};
    const V4l2Interval slowest{interval.stepwise.max.numerator, interval.stepwise.max.denominator};
    result.push_back(fastest);
    result.push_back(slowest);
    const double rate_hz = wanted_hz > 0 ? wanted_hz : kDefaultV4l2RateHz;
    if (rate_hz > slowest.rate_hz() && rate_hz < fastest.rate_hz()) {
      constexpr std::uint32_t kTicksPerSecond = 1000000;  // microseconds: fine enough for any fraction
      result.push_back({static_cast<std::uint32_t>(kTicksPerSecond / rate_hz), kTicksPerSecond});
    }
    break;
  }
  return result;
}

base::Result<v4l2_format> current_format(const V4l2Device& device) {
  v4l2_format format{};
  format.type = device.buffer_type();
  WAYSIDE_CHECK(device.call(VIDIOC_G_FMT, &format, "VIDIOC_G_FMT"));
  return format;
}

V4l2Size size_of(const V4l2Device& device, const v4l2_format& format) {
  if (device.info().multi_planar) return {format.fmt.pix_mp.width, format.fmt.pix_mp.height};
  return {format.fmt.pix.width, format.fmt.pix.height};
}

/// The formats we can read, in the user's order or ours.
std::vector<V4l2Code> readable(const std::vector<std::uint32_t>& offered, const CameraRequest& request,
                               std::span<const V4l2Code> known) {
  std::vector<V4l2Code> result;
  const auto add = [&](const V4l2Code& code) {
    if (std::ranges::find(offered, code.fourcc) != offered.end()) result.push_back(code);
  };
  if (request.formats.empty()) {
    for (const V4l2Code& code : known) add(code);
  }
  for (const base::PixelFormat format : request.formats) {
    for (const V4l2Code& code : known) {
      if (code.format == format) add(code);
    }
  }
  return result;
}

base::Result<V4l2Candidate> choose(const V4l2Device& device, const CameraRequest& request,
                                   std::span<const V4l2Code> known) {
  const auto offered = enum_formats(device);
  const auto codes = readable(offered, request, known);
  if (codes.empty()) {
    std::string list;
    for (const std::uint32_t fourcc : offered) list += (list.empty() ? "" : ", ") + fourcc_text(fourcc);
    return fail(Code::unsupported, std::format("{}: offers only {}; ask for another format",
                                               device.info().path.string(), list.empty() ? "nothing" : list));
  }
  WAYSIDE_TRY(const v4l2_format current, current_format(device));
  const V4l2Size wanted =
      request.width_px != 0 ? V4l2Size{request.width_px, request.height_px} : size_of(device, current);
  std::vector<V4l2Candidate> candidates;
  for (const V4l2Code& code : codes) {
    const auto sizes = enum_sizes(device, code.fourcc);
    const V4l2Size size = sizes.empty() ? wanted : closest_size(sizes, wanted);
    const auto intervals = enum_intervals(device, code.fourcc, size, request.rate_hz);
    candidates.push_back({code, size, closest_interval(intervals, request.rate_hz)});
  }
  return candidates[best_candidate(candidates, wanted, request.rate_hz)];
}

/// Unless the driver says otherwise YUV is of limited range, but for the JPEG colour space (videodev2.h,
/// V4L2_MAP_QUANTIZATION_DEFAULT).
base::ColorRange range_of(const V4l2Code& code, std::uint32_t quantization, std::uint32_t colorspace) {
  if (code.format == base::PixelFormat::rgb24 || code.format == base::PixelFormat::mjpeg) return base::ColorRange::full;
  const bool full = quantization == V4L2_QUANTIZATION_DEFAULT ? colorspace == V4L2_COLORSPACE_JPEG
                                                              : quantization == V4L2_QUANTIZATION_FULL_RANGE;
  return full ? base::ColorRange::full : base::ColorRange::limited;
}

base::Result<V4l2StreamFormat> set_format(const V4l2Device& device, const V4l2Candidate& chosen) {
  v4l2_format format{};
  format.type = device.buffer_type();
  if (device.info().multi_planar) {
    auto& pix = format.fmt.pix_mp;
    pix.width = chosen.size.width_px;
    pix.height = chosen.size.height_px;
    pix.pixelformat = chosen.code.fourcc;
    pix.field = V4L2_FIELD_NONE;
    pix.num_planes = static_cast<__u8>(chosen.code.memory_planes);
  } else {
    auto& pix = format.fmt.pix;
    pix.width = chosen.size.width_px;
    pix.height = chosen.size.height_px;
    pix.pixelformat = chosen.code.fourcc;
    pix.field = V4L2_FIELD_NONE;
  }
  WAYSIDE_CHECK(device.call(VIDIOC_S_FMT, &format, "VIDIOC_S_FMT"));
  V4l2StreamFormat result;
  result.code = chosen.code;
  result.size = size_of(device, format);
  std::uint32_t fourcc = 0;
  std::array<std::uint32_t, 3> bytes_per_line{};
  if (device.info().multi_planar) {
    const auto& pix = format.fmt.pix_mp;
    fourcc = pix.pixelformat;
    for (unsigned plane = 0; plane < chosen.code.memory_planes; ++plane) {
      bytes_per_line[plane] = pix.plane_fmt[plane].bytesperline;
    }
    result.range = range_of(chosen.code, pix.quantization, pix.colorspace);
  } else {
    const auto& pix = format.fmt.pix;
    fourcc = pix.pixelformat;
    bytes_per_line[0] = pix.bytesperline;
    result.range = range_of(chosen.code, pix.quantization, pix.colorspace);
  }
  if (fourcc != chosen.code.fourcc) {
    return fail(Code::unsupported, std::format("{}: asked {}, the driver set {}", device.info().path.string(),
                                               fourcc_text(chosen.code.fourcc), fourcc_text(fourcc)));
  }
  if (!base::image_size_ok(result.size.width_px, result.size.height_px)) {
    return fail(Code::unsupported, std::format("{}: {}x{} is not a usable size", device.info().path.string(),
                                               result.size.width_px, result.size.height_px));
  }
  WAYSIDE_TRY(result.planes, plane_layout(chosen.code, result.size, bytes_per_line));
  return result;
}

/// Sets the rate where the driver lets us and gives what it is then; 0 where it does not tell.
double set_rate(const V4l2Device& device, V4l2Interval interval) {
  v4l2_streamparm parameters{};
  parameters.type = device.buffer_type();
  if (ioctl_retry(device.fd(), VIDIOC_G_PARM, &parameters) != 0) return 0;
  auto& capture = parameters.parm.capture;
  if ((capture.capability & V4L2_CAP_TIMEPERFRAME) != 0 && interval.numerator != 0) {
    capture.timeperframe = {interval.numerator, interval.denominator};
    if (ioctl_retry(device.fd(), VIDIOC_S_PARM, &parameters) != 0) return 0;
  }
  return V4l2Interval{capture.timeperframe.numerator, capture.timeperframe.denominator}.rate_hz();
}

}  // namespace

base::Result<V4l2StreamFormat> negotiate(const V4l2Device& device, const CameraRequest& request,
                                         std::span<const V4l2Code> codes) {
  if ((request.width_px == 0) != (request.height_px == 0)) {
    return fail(Code::invalid_argument, "camera: give both width and height, or neither");
  }
  if (!(request.rate_hz >= 0 && request.rate_hz <= kMaxRateHz)) {
    return fail(Code::invalid_argument,
                std::format("camera: a rate of {} Hz is not in 0..{}", request.rate_hz, kMaxRateHz));
  }
  WAYSIDE_TRY(const V4l2Candidate chosen, choose(device, request, codes));
  WAYSIDE_TRY(V4l2StreamFormat result, set_format(device, chosen));
  V4l2Interval interval = chosen.interval;
  if (interval.numerator == 0 && request.rate_hz > 0) {  // not enumerated: ask all the same
    constexpr std::uint32_t kTicksPerSecond = 1000000;
    interval = {static_cast<std::uint32_t>(kTicksPerSecond / request.rate_hz), kTicksPerSecond};
  }
  result.rate_hz = set_rate(device, interval);
  return result;
}

std::vector<V4l2Offer> offered_formats(const V4l2Device& device) {
  std::vector<V4l2Offer> result;
  for (const std::uint32_t fourcc : enum_formats(device)) {
    V4l2Offer offer{fourcc, {}};
    constexpr V4l2Size kHuge{base::kMaxImageSidePx, base::kMaxImageSidePx};
    const auto sizes = enum_sizes(device, fourcc);
    if (!sizes.empty()) offer.largest = closest_size(sizes, kHuge);
    result.push_back(offer);
  }
  return result;
}

}  // namespace wayside::drivers
