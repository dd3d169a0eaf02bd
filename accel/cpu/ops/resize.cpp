// SPDX-License-Identifier: Apache-2.0
// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of 8-bit pictures.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "accel/cpu/kernels/bilinear.h"
#include "accel/cpu/ops/ops.h"
#include "accel/cpu/thread_pool.h"

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

constexpr std::int32_t kUnit = 1 << kBilinearBits;  // fixed-point 1 of the positions of i8

/// One output row or column of u8: its two neighbours and the weight of the second.
struct FloatTap {
  std::int32_t first = 0, second = 0;
  float weight = 0;
};

/// Source: reference/resize_bilinear.h ResizeBilinearInteger.
std::vector<BilinearTap> fixed_taps(const OpOptions& options, std::int32_t in, std::int32_t out) {
  const bool align = options.align_corners && out > 1;
  const std::int64_t num = align ? in - 1 : in, den = align ? out - 1 : out;
  const std::int64_t scale = (num * kUnit + den / 2) / den;
  std::vector<BilinearTap> taps;
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
std::vector<FloatTap> float_taps(const OpOptions& options, std::int32_t in, std::int32_t out) {
  const bool align = options.align_corners && out > 1;
  const float scale = align ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                            : static_cast<float>(in) / static_cast<float>(out);
  std::vector<FloatTap> taps;
  for (std::int32_t i = 0; i < out; ++i) {
    const auto value = static_cast<float>(i);
    const float at = options.half_pixel_centers ? ((value + 0.5F) * scale) - 0.5F : value * scale;
    const std::int32_t low = std::clamp(static_cast<std::int32_t>(std::floor(at)), 0, in - 1);
    const std::int32_t high = std::clamp(static_cast<std::int32_t>(std::ceil(at)), 0, in - 1);
    taps.push_back({.first = low, .second = high, .weight = at - static_cast<float>(low)});
  }
  return taps;
}

/// u8: float, in the reference's order of additions.
std::uint8_t blend(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, float y, float x) {
  const float sum = static_cast<float>(a) * (1 - y) * (1 - x) + static_cast<float>(c) * y * (1 - x) +
                    static_cast<float>(b) * (1 - y) * x + static_cast<float>(d) * y * x + 0.5F;
  return static_cast<std::uint8_t>(sum);
}

struct FloatBilinear {
  Geometry geometry;
  std::vector<FloatTap> rows, columns;
  void operator()(const RunContext& context) const {
    const auto& g = geometry;
    const std::size_t row_bytes = static_cast<std::size_t>(g.in_w) * g.channels;
    const std::size_t out_row_bytes = columns.size() * g.channels;
    context.pool.for_each(static_cast<std::size_t>(g.batch) * g.out_h, [&](std::size_t number, unsigned) {
      const FloatTap& row = rows[number % g.out_h];
      const auto* picture = context.input<std::uint8_t>(0) + (number / g.out_h * g.in_h * row_bytes);
      const std::uint8_t* top = picture + (row.first * row_bytes);
      const std::uint8_t* bottom = picture + (row.second * row_bytes);
      std::uint8_t* out = context.output<std::uint8_t>() + (number * out_row_bytes);
      for (const FloatTap& column : columns) {
        const std::size_t left = static_cast<std::size_t>(column.first) * g.channels;
        const std::size_t right = static_cast<std::size_t>(column.second) * g.channels;
        for (std::size_t i = 0; i < static_cast<std::size_t>(g.channels); ++i) {
          *out++ = blend(top[left + i], top[right + i], bottom[left + i], bottom[right + i], row.weight, column.weight);
        }
      }
    });
  }
};

struct FixedBilinear {
  Geometry geometry;
  std::vector<BilinearTap> rows, columns;
  BilinearFunction make_row;
  [[nodiscard]] std::size_t row_elements() const { return static_cast<std::size_t>(geometry.in_w) * geometry.channels; }
  /// Of one thread: a row blended between its neighbours.
  [[nodiscard]] std::size_t thread_bytes() const { return row_elements() * sizeof(std::int32_t); }
  void operator()(const RunContext& context) const {
    const auto& g = geometry;
    const auto channels = static_cast<std::size_t>(g.channels);
    context.pool.for_each(static_cast<std::size_t>(g.batch) * g.out_h, [&](std::size_t number, unsigned thread) {
      const BilinearTap& row = rows[number % g.out_h];
      const auto* picture = context.input<std::int8_t>(0) + (number / g.out_h * g.in_h * row_elements());
      make_row({.top = picture + (row.first * row_elements()),
                .bottom = picture + (row.second * row_elements()),
                .in_elements = row_elements(),
                .channels = channels,
                .bottom_weight = row.weight,
                .columns = columns,
                .blended = reinterpret_cast<std::int32_t*>(context.scratch + (thread * thread_bytes())),
                .out = context.output<std::int8_t>() + (number * columns.size() * channels)});
    });
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
    FixedBilinear bilinear{.geometry = geometry,
                           .rows = fixed_taps(options, geometry.in_h, geometry.out_h),
                           .columns = fixed_taps(options, geometry.in_w, geometry.out_w),
                           .make_row = bilinear_row(node.level())};
    prepared.scratch_bytes = bilinear.thread_bytes() * node.thread_count();
    prepared.op = make_operator(std::move(bilinear));
  } else {
    prepared.op = make_operator(FloatBilinear{.geometry = geometry,
                                              .rows = float_taps(options, geometry.in_h, geometry.out_h),
                                              .columns = float_taps(options, geometry.in_w, geometry.out_w)});
  }
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
