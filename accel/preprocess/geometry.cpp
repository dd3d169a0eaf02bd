// SPDX-License-Identifier: Apache-2.0
// See geometry.h.
#include "accel/preprocess/geometry.h"

#include <algorithm>
#include <format>

namespace wayside::accel::preprocess {
namespace {

using base::Code;
using base::PixelFormat;

struct PlaneSize {
  std::size_t row_bytes, rows;
};

PlaneSize plane_size(const base::ImageView& image, unsigned plane) {
  const std::size_t width = image.width_px, height = image.height_px;
  const std::size_t half_width = (width + 1) / 2, half_height = (height + 1) / 2;
  switch (image.format) {
    case PixelFormat::nv12: return plane == 0 ? PlaneSize{width, height} : PlaneSize{2 * half_width, half_height};
    case PixelFormat::i420: return plane == 0 ? PlaneSize{width, height} : PlaneSize{half_width, half_height};
    case PixelFormat::yuyv: return {4 * half_width, height};
    case PixelFormat::rgb24: return {3 * width, height};
    default: return {width, height};
  }
}

base::Result<void> check_planes(const base::ImageView& image) {
  for (unsigned i = 0; i < base::plane_count(image.format); ++i) {
    const auto& plane = image.planes[i];
    const auto size = plane_size(image, i);
    if (plane.data == nullptr || plane.stride_bytes < size.row_bytes || plane.size_bytes < size.row_bytes ||
        (plane.size_bytes - size.row_bytes) / plane.stride_bytes < size.rows - 1) {
      return base::fail(Code::invalid_argument,
                        std::format("picture {}x{} {}: plane {} has {} bytes in rows of {}, needs {} rows of {}",
                                    image.width_px, image.height_px, base::to_string(image.format), i, plane.size_bytes,
                                    plane.stride_bytes, size.rows, size.row_bytes));
    }
  }
  return {};
}

/// The smallest power of two that leaves at most a factor of two to the sampling; 0 when kMaxCellPx is not enough.
std::uint32_t choose_cell(std::uint32_t crop_px, std::uint32_t target_px) {
  for (std::uint32_t cell = 1; cell <= kMaxCellPx; cell *= 2) {
    if (crop_px <= 2 * cell * target_px) return cell;
  }
  return 0;
}

/// round(a * b / c), at least 1.
std::uint32_t scaled(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, (2ULL * a * b + c) / (2ULL * c)));
}

}  // namespace

base::Result<Source> describe_source(const base::ImageView& image) {
  if (image.format == PixelFormat::mjpeg) {
    return base::fail(Code::unsupported, "picture is a JPEG: decode it before pre-processing");
  }
  if (image.width_px == 0 || image.height_px == 0 || std::max(image.width_px, image.height_px) > kMaxSourceSidePx) {
    return base::fail(Code::invalid_argument, std::format("picture is {}x{}, must be 1..{} on each side",
                                                          image.width_px, image.height_px, kMaxSourceSidePx));
  }
  WAYSIDE_CHECK(check_planes(image));
  const auto& planes = image.planes;
  Source source{.range = image.range};
  auto& [first, second, third] = source.channels;
  first = {planes[0].data, planes[0].stride_bytes, 1, 1, 1};
  switch (image.format) {
    case PixelFormat::nv12:
      second = {planes[1].data, planes[1].stride_bytes, 2, 2, 2};
      third = {planes[1].data + 1, planes[1].stride_bytes, 2, 2, 2};
      break;
    case PixelFormat::i420:
      second = {planes[1].data, planes[1].stride_bytes, 1, 2, 2};
      third = {planes[2].data, planes[2].stride_bytes, 1, 2, 2};
      break;
    case PixelFormat::yuyv:
      first.step_bytes = 2;
      second = {planes[0].data + 1, planes[0].stride_bytes, 4, 2, 1};
      third = {planes[0].data + 3, planes[0].stride_bytes, 4, 2, 1};
      break;
    case PixelFormat::rgb24:
      source.model = ColorModel::rgb;
      first.step_bytes = 3;
      second = {planes[0].data + 1, planes[0].stride_bytes, 3, 1, 1};
      third = {planes[0].data + 2, planes[0].stride_bytes, 3, 1, 1};
      break;
    default:
      source.model = ColorModel::luma;
      source.channel_count = 1;
      break;
  }
  return source;
}

base::Result<Layout> plan_layout(const base::ImageView& image, const CropRect& wanted, Fit fit,
                                 std::uint32_t tensor_width, std::uint32_t tensor_height) {
  CropRect crop = wanted;
  const auto inside = [](std::uint32_t offset, std::uint32_t& size, std::uint32_t limit) {
    if (offset >= limit || size > limit - offset) return false;
    if (size == 0) size = limit - offset;
    return true;
  };
  if (!inside(crop.x_px, crop.width_px, image.width_px) || !inside(crop.y_px, crop.height_px, image.height_px)) {
    return base::fail(Code::invalid_argument,
                      std::format("crop {}x{} at ({},{}) is not inside the picture of {}x{}", wanted.width_px,
                                  wanted.height_px, wanted.x_px, wanted.y_px, image.width_px, image.height_px));
  }
  crop.width_px += crop.x_px % 2;
  crop.height_px += crop.y_px % 2;
  crop.x_px -= crop.x_px % 2;
  crop.y_px -= crop.y_px % 2;

  CropRect target{0, 0, tensor_width, tensor_height};
  if (fit == Fit::letterbox) {
    if (1ULL * crop.height_px * tensor_width <= 1ULL * crop.width_px * tensor_height) {
      target.height_px = std::min(tensor_height, scaled(crop.height_px, tensor_width, crop.width_px));
    } else {
      target.width_px = std::min(tensor_width, scaled(crop.width_px, tensor_height, crop.height_px));
    }
    target.x_px = (tensor_width - target.width_px) / 2;
    target.y_px = (tensor_height - target.height_px) / 2;
  }
  Layout layout{crop, target, choose_cell(crop.width_px, target.width_px),
                choose_cell(crop.height_px, target.height_px)};
  if (layout.cell_x == 0 || layout.cell_y == 0) {
    return base::fail(Code::unsupported, std::format("crop {}x{} to {}x{} shrinks by more than {}", crop.width_px,
                                                     crop.height_px, target.width_px, target.height_px, kMaxShrink));
  }
  return layout;
}

FrameMapping mapping_of(const Layout& layout) {
  const auto real = [](std::uint32_t value) { return static_cast<float>(value); };
  const auto& [crop, target, cell_x, cell_y] = layout;
  FrameMapping mapping;
  mapping.scale_x = real(crop.width_px) / real(target.width_px);
  mapping.scale_y = real(crop.height_px) / real(target.height_px);
  mapping.offset_x = real(crop.x_px) - real(target.x_px) * mapping.scale_x;
  mapping.offset_y = real(crop.y_px) - real(target.y_px) * mapping.scale_y;
  mapping.x0_px = real(crop.x_px);
  mapping.y0_px = real(crop.y_px);
  mapping.x1_px = real(crop.x_px + crop.width_px);
  mapping.y1_px = real(crop.y_px + crop.height_px);
  return mapping;
}

Axis make_axis(std::uint32_t crop_offset_px, std::uint32_t crop_px, std::uint32_t target_px, std::uint32_t cell_px,
               std::uint32_t shared) {
  Axis axis{.crop_px = crop_px, .target_px = target_px};
  axis.cell_px = std::max(cell_px, shared);
  axis.factor = axis.cell_px / shared;
  axis.first_sample = crop_offset_px / shared;
  axis.sample_count = (crop_px + shared - 1) / shared;
  axis.cell_count = (axis.sample_count + axis.factor - 1) / axis.factor;
  return axis;
}

}  // namespace wayside::accel::preprocess
