// SPDX-License-Identifier: Apache-2.0
// See preprocess_reference.h: each output pixel from its definition, nothing shared between pixels.
#include "accel/preprocess/preprocess_reference.h"

#include <algorithm>
#include <cstring>

#include "accel/preprocess/color.h"
#include "accel/preprocess/geometry.h"
#include "accel/preprocess/value_table.h"

namespace wayside::accel {
namespace {

using namespace preprocess;

/// The rounded mean of one cell; samples behind the crop's edge repeat the last one inside.
int cell_value(const Channel& channel, const Axis& x, const Axis& y, std::uint32_t cell_x, std::uint32_t cell_y) {
  std::uint32_t sum = 0;
  for (std::uint32_t j = 0; j < y.factor; ++j) {
    for (std::uint32_t i = 0; i < x.factor; ++i) {
      const std::size_t row = y.first_sample + std::min(cell_y * y.factor + j, y.sample_count - 1);
      const std::size_t column = x.first_sample + std::min(cell_x * x.factor + i, x.sample_count - 1);
      sum += channel.data[row * channel.stride_bytes + column * channel.step_bytes];
    }
  }
  const std::uint32_t area = x.factor * y.factor;
  return static_cast<int>((sum + area / 2) / area);
}

int blend(int first, int second, std::uint32_t weight) {
  const int w = static_cast<int>(weight);
  return (first * (128 - w) + second * w + 64) >> 7;
}

/// The component's value at a target pixel.
int sample(const Channel& channel, const Layout& layout, std::uint32_t column, std::uint32_t row) {
  const auto x =
      make_axis(layout.crop.x_px, layout.crop.width_px, layout.target.width_px, layout.cell_x, channel.shared_x);
  const auto y =
      make_axis(layout.crop.y_px, layout.crop.height_px, layout.target.height_px, layout.cell_y, channel.shared_y);
  const auto at_x = sample_position(x, column), at_y = sample_position(y, row);
  const auto x0 = at_x / kPositionSteps, x1 = std::min(x0 + 1, x.cell_count - 1);
  const auto y0 = at_y / kPositionSteps, y1 = std::min(y0 + 1, y.cell_count - 1);
  const auto weight_x = at_x % kPositionSteps, weight_y = at_y % kPositionSteps;
  const int left = blend(cell_value(channel, x, y, x0, y0), cell_value(channel, x, y, x0, y1), weight_y);
  const int right = blend(cell_value(channel, x, y, x1, y0), cell_value(channel, x, y, x1, y1), weight_y);
  return blend(left, right, weight_x);
}

struct Color {
  int red, green, blue, gray;
};

Color color_at(const Source& source, const Layout& layout, std::uint32_t column, std::uint32_t row) {
  const auto get = [&](std::size_t c) { return sample(source.channels[c], layout, column, row); };
  if (source.model == ColorModel::rgb) {
    const int red = get(0), green = get(1), blue = get(2);
    return {red, green, blue, gray_of(red, green, blue)};
  }
  const auto f = color_factors(source.range);
  const int luma = color_term(get(0) - 128, f.luma) + f.luma_offset;
  const int gray = color_value(luma);
  if (source.model == ColorModel::luma) return {gray, gray, gray, gray};
  const int u = get(1) - 128, v = get(2) - 128;
  return {color_value(luma + color_term(v, f.v_to_red)),
          color_value(luma - color_term(u, f.u_to_green) - color_term(v, f.v_to_green)),
          color_value(luma + color_term(u, f.u_to_blue)), gray};
}

}  // namespace

base::Result<FrameMapping> preprocess_reference(const PreprocessSpec& spec, const base::ImageView& image,
                                                const CropRect& crop, std::span<std::byte> tensor) {
  WAYSIDE_TRY(const auto table, make_value_table(spec));
  WAYSIDE_TRY(const auto source, describe_source(image));
  const auto height = static_cast<std::uint32_t>(spec.input.shape[1]);
  const auto width = static_cast<std::uint32_t>(spec.input.shape[2]);
  WAYSIDE_TRY(const auto layout, plan_layout(image, crop, spec.fit, width, height));
  std::size_t at = 0;
  const auto put = [&](std::size_t channel, int value) {
    const auto v = static_cast<std::size_t>(value);
    if (table.is_float) {
      std::memcpy(tensor.data() + at * sizeof(float), &table.reals[channel][v], sizeof(float));
    } else {
      tensor[at] = std::byte{table.bytes[channel][v]};
    }
    ++at;
  };
  const auto& target = layout.target;
  for (std::uint32_t row = 0; row < height; ++row) {
    for (std::uint32_t column = 0; column < width; ++column) {
      const int pad = spec.pad_value;
      Color color{pad, pad, pad, pad};
      const bool inside = row >= target.y_px && row - target.y_px < target.height_px && column >= target.x_px &&
                          column - target.x_px < target.width_px;
      if (inside) color = color_at(source, layout, column - target.x_px, row - target.y_px);
      if (spec.order == ColorOrder::gray) {
        put(0, color.gray);
        continue;
      }
      put(0, spec.order == ColorOrder::rgb ? color.red : color.blue);
      put(1, color.green);
      put(2, spec.order == ColorOrder::rgb ? color.blue : color.red);
    }
  }
  return mapping_of(layout);
}

}  // namespace wayside::accel
