// SPDX-License-Identifier: Apache-2.0
// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of 8-bit pictures.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct Geometry {
  std::int32_t batch = 1, in_h = 1, in_w = 1, out_h = 1, out_w = 1, channels = 1;
};

Result<Geometry> check_resize(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  if (in.rank() != 4) return NodeView::corrupt("input {} must have 4 dimensions", to_string(in));
  WAYSIDE_TRY(const auto size, node.constant_i32(1, 2));
  if (size.size() != 2 || size[0] < 1 || size[1] < 1) return NodeView::corrupt("its size is not two positive numbers");
  if (node.options().align_corners && node.options().half_pixel_centers) {
    return NodeView::corrupt("align_corners and half_pixel_centers exclude each other");
  }
  // The fixed-point positions below have 10 fraction bits in 32.
  constexpr std::int32_t kMaxSide = 1 << 20;
  if (std::max({in[1], in[2], size[0], size[1]}) > kMaxSide) return NodeView::unsupported("a side over {}", kMaxSide);
  WAYSIDE_CHECK(node.expect_output_shape(Shape{in[0], size[0], size[1], in[3]}));
  return Geometry{.batch = in[0], .in_h = in[1], .in_w = in[2], .out_h = size[0], .out_w = size[1], .channels = in[3]};
}

/// Source: reference/resize_nearest_neighbor.h GetNearestNeighbor (float arithmetic).
std::vector<std::int32_t> nearest_positions(const OpOptions& options, std::int32_t in, std::int32_t out) {
  const bool align = options.align_corners;
  const float scale = align && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                       : static_cast<float>(in) / static_cast<float>(out);
  const float offset = options.half_pixel_centers ? 0.5F : 0.0F;
  std::vector<std::int32_t> positions;
  for (std::int32_t i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + offset) * scale;
    positions.push_back(std::clamp(static_cast<std::int32_t>(align ? std::round(at) : std::floor(at)), 0, in - 1));
  }
  return positions;
}

constexpr std::int32_t kUnit = 1 << 10;  // fixed-point 1 of the positions of i8

/// One output row or column: its two neighbours and the weight of the second.
template <class Weight>
struct Tap {
  std::int32_t first = 0, second = 0;
  Weight weight{};  // i8: units of 1 / kUnit; u8: float
};

/// Source: reference/resize_bilinear.h ResizeBilinearInteger.
std::vector<Tap<std::int32_t>> fixed_taps(const OpOptions& options, std::int32_t in, std::int32_t out) {
  const bool align = options.align_corners && out > 1;
  const std::int64_t num = align ? in - 1 : in, den = align ? out - 1 : out;
  const std::int64_t scale = (num * kUnit + den / 2) / den;
  std::vector<Tap<std::int32_t>> taps;
  for (std::int32_t i = 0; i < out; ++i) {
    const std::int64_t at = i * scale + (options.half_pixel_centers ? scale / 2 - kUnit / 2 : 0);
    // A rounded-up scale may point past the last element on very long sides; the reference reads there.
    const std::int64_t low = std::clamp<std::int64_t>(at / kUnit, 0, in - 1);
    const std::int64_t high = std::clamp<std::int64_t>((at + kUnit - 1) / kUnit, 0, in - 1);
    taps.push_back({.first = static_cast<std::int32_t>(low),
                    .second = static_cast<std::int32_t>(high),
                    .weight = static_cast<std::int32_t>(at - (low * kUnit))});
  }
  return taps;
}

/// Source: reference/resize_bilinear.h ResizeBilinear (float positions).
std::vector<Tap<float>> float_taps(const OpOptions& options, std::int32_t in, std::int32_t out) {
  const bool align = options.align_corners && out > 1;
  const float scale = align ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                            : static_cast<float>(in) / static_cast<float>(out);
  std::vector<Tap<float>> taps;
  for (std::int32_t i = 0; i < out; ++i) {
    const auto value = static_cast<float>(i);
    const float at = options.half_pixel_centers ? ((value + 0.5F) * scale) - 0.5F : value * scale;
    const std::int32_t low = std::clamp(static_cast<std::int32_t>(std::floor(at)), 0, in - 1);
    const std::int32_t high = std::clamp(static_cast<std::int32_t>(std::ceil(at)), 0, in - 1);
    taps.push_back({.first = low, .second = high, .weight = at - static_cast<float>(low)});
  }
  return taps;
}

/// i8: fixed point, rounded half away from zero.
std::int8_t blend(std::int8_t a, std::int8_t b, std::int8_t c, std::int8_t d, std::int32_t y, std::int32_t x) {
  const std::int64_t sum = std::int64_t{a} * (kUnit - y) * (kUnit - x) + std::int64_t{c} * y * (kUnit - x) +
                           std::int64_t{b} * (kUnit - y) * x + std::int64_t{d} * y * x;
  constexpr std::int64_t kOne = std::int64_t{kUnit} * kUnit;
  return static_cast<std::int8_t>((sum + (sum > 0 ? kOne / 2 : -kOne / 2)) / kOne);
}

/// u8: float, in the reference's order of additions.
std::uint8_t blend(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, float y, float x) {
  const float sum = static_cast<float>(a) * (1 - y) * (1 - x) + static_cast<float>(c) * y * (1 - x) +
                    static_cast<float>(b) * (1 - y) * x + static_cast<float>(d) * y * x + 0.5F;
  return static_cast<std::uint8_t>(sum);
}

template <class T, class Weight>
struct Bilinear {
  Geometry geometry;
  std::vector<Tap<Weight>> rows, columns;
  void operator()(const RunContext& context) const {
    const auto& g = geometry;
    const T* in = context.input<T>(0);
    T* out = context.output<T>();
    for (std::int32_t n = 0; n < g.batch; ++n) {
      const T* picture = in + (static_cast<std::size_t>(n) * g.in_h * g.in_w * g.channels);
      for (const auto& row : rows) {
        for (const auto& column : columns) {
          const auto pixel = [&](std::int32_t y, std::int32_t x) {
            return picture + ((static_cast<std::size_t>(y) * g.in_w + x) * g.channels);
          };
          const T* a = pixel(row.first, column.first);
          const T* b = pixel(row.first, column.second);
          const T* c = pixel(row.second, column.first);
          const T* d = pixel(row.second, column.second);
          for (std::int32_t i = 0; i < g.channels; ++i)
            *out++ = blend(a[i], b[i], c[i], d[i], row.weight, column.weight);
        }
      }
    }
  }
};

}  // namespace

/// out[n,y,x,c] = in[n,nearest(y),nearest(x),c].
Result<PreparedOp> prepare_resize_nearest(const NodeView& node) {
  WAYSIDE_TRY(const Geometry geometry, check_resize(node));
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([rows = nearest_positions(node.options(), geometry.in_h, geometry.out_h),
                               columns = nearest_positions(node.options(), geometry.in_w, geometry.out_w), geometry,
                               pixel_bytes = static_cast<std::size_t>(geometry.channels) *
                                             size_bytes(node.input(0).type)](const RunContext& context) {
    std::byte* out = context.outputs[0];
    const std::size_t row_bytes = static_cast<std::size_t>(geometry.in_w) * pixel_bytes;
    for (std::int32_t n = 0; n < geometry.batch; ++n) {
      const std::byte* picture = context.inputs[0] + (static_cast<std::size_t>(n) * geometry.in_h * row_bytes);
      for (const std::int32_t y : rows) {
        for (const std::int32_t x : columns) {
          std::memcpy(out, picture + (y * row_bytes) + (x * pixel_bytes), pixel_bytes);
          out += pixel_bytes;
        }
      }
    }
  });
  return prepared;
}

/// out[n,y,x,c] = sum over the 4 neighbours of in * (1 - distance_y) * (1 - distance_x). i8 computes in fixed point, u8
/// in float, as the reference does.
Result<PreparedOp> prepare_resize_bilinear(const NodeView& node) {
  WAYSIDE_TRY(const Geometry geometry, check_resize(node));
  const DType type = node.input(0).type;
  if (!is_8bit(type)) return NodeView::unsupported("element type {}", to_string(type));
  const OpOptions& options = node.options();
  PreparedOp prepared;
  prepared.reads.push_back(0);
  if (type == DType::i8) {
    prepared.op = make_operator(
        Bilinear<std::int8_t, std::int32_t>{.geometry = geometry,
                                            .rows = fixed_taps(options, geometry.in_h, geometry.out_h),
                                            .columns = fixed_taps(options, geometry.in_w, geometry.out_w)});
  } else {
    prepared.op =
        make_operator(Bilinear<std::uint8_t, float>{.geometry = geometry,
                                                    .rows = float_taps(options, geometry.in_h, geometry.out_h),
                                                    .columns = float_taps(options, geometry.in_w, geometry.out_w)});
  }
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
