// SPDX-License-Identifier: Apache-2.0
// AVERAGE_POOL_2D and MAX_POOL_2D on 8-bit pictures.
#include <algorithm>
#include <cstdint>

#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/ops/ops.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct Pool {
  std::int32_t batch = 1, in_h = 1, in_w = 1, channels = 1, out_h = 1, out_w = 1;
  std::int32_t window_h = 1, window_w = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  Range range;
};

/// The part of a window that lies in the picture.
struct Span {
  std::int32_t begin = 0, end = 0;
};
Span window_span(std::int32_t position, std::int32_t stride, std::int32_t pad, std::int32_t window, std::int32_t size) {
  const std::int32_t origin = (position * stride) - pad;
  return {.begin = std::max(origin, 0), .end = std::min(origin + window, size)};
}

/// Nearest, halves away from zero.
std::int32_t rounded_mean(std::int32_t sum, std::int32_t count) {
  return sum > 0 ? (sum + (count / 2)) / count : (sum - (count / 2)) / count;
}

/// One output pixel's means; in blocks of channels so that the innermost loops run along memory.
template <class T>
void mean_pixel(const Pool& pool, const T* picture, Span rows, Span columns, T* out) {
  constexpr std::int32_t kBlock = 64;
  const std::int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
  for (std::int32_t first = 0; first < pool.channels; first += kBlock) {
    const std::int32_t width = std::min(kBlock, pool.channels - first);
    std::int32_t sums[kBlock] = {};
    for (std::int32_t y = rows.begin; y < rows.end; ++y) {
      for (std::int32_t x = columns.begin; x < columns.end; ++x) {
        const T* pixel = picture + ((static_cast<std::size_t>(y) * pool.in_w + x) * pool.channels) + first;
        if (width == kBlock) {
          for (std::int32_t c = 0; c < kBlock; ++c) sums[c] += pixel[c];
        } else {
          for (std::int32_t c = 0; c < width; ++c) sums[c] += pixel[c];
        }
      }
    }
    for (std::int32_t c = 0; c < width; ++c) {
      out[first + c] = static_cast<T>(pool.range.clamp(rounded_mean(sums[c], count)));
    }
  }
}

/// body(picture, rows, columns, out) for each pixel of one output row; pointers are to bytes.
template <class Body>
void for_each_window(const Pool& pool, const std::uint8_t* in, std::uint8_t* out, std::size_t row, const Body& body) {
  const auto n = row / static_cast<std::size_t>(pool.out_h);
  const auto y = static_cast<std::int32_t>(row % static_cast<std::size_t>(pool.out_h));
  const std::uint8_t* picture = in + (n * pool.in_h * pool.in_w * pool.channels);
  std::uint8_t* to = out + (row * pool.out_w * pool.channels);
  const Span rows = window_span(y, pool.stride_h, pool.pad_top, pool.window_h, pool.in_h);
  for (std::int32_t x = 0; x < pool.out_w; ++x, to += pool.channels) {
    body(picture, rows, window_span(x, pool.stride_w, pool.pad_left, pool.window_w, pool.in_w), to);
  }
}

Result<Pool> check_pool(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  WAYSIDE_CHECK(node.expect_options());
  WAYSIDE_CHECK(node.expect_8bit());
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  if (in.rank() != 4) return NodeView::corrupt("input {} must have 4 dimensions", to_string(in));
  const OpOptions& options = node.options();
  const auto& [top, left, bottom, right] = options.outer;
  const auto rows = window_axis(options.padding, in[1] + top + bottom, options.filter_h, options.stride_h, 1);
  const auto columns = window_axis(options.padding, in[2] + left + right, options.filter_w, options.stride_w, 1);
  if (!rows || !columns) {
    return NodeView::corrupt("window {}x{} with stride {}x{} does not fit input {}", options.filter_h, options.filter_w,
                             options.stride_h, options.stride_w, to_string(in));
  }
  WAYSIDE_CHECK(node.expect_output_shape(Shape{in[0], rows->out, columns->out, in[3]}));
  const Tensor& out = node.output();
  return Pool{.batch = in[0],
              .in_h = in[1],
              .in_w = in[2],
              .channels = in[3],
              .out_h = rows->out,
              .out_w = columns->out,
              .window_h = options.filter_h,
              .window_w = options.filter_w,
              .stride_h = options.stride_h,
              .stride_w = options.stride_w,
              .pad_top = rows->pad_before + top,
              .pad_left = columns->pad_before + left,
              .range = activation_range(options.activation, out.type, out.quantization)};
}

/// `body` as of for_each_window.
template <class Body>
PreparedOp pool_operator(const Pool& pool, const Body& body) {
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([pool, body](const RunContext& context) {
    const auto* in = context.input<std::uint8_t>(0);
    auto* out = context.output<std::uint8_t>();
    context.pool.for_each(static_cast<std::size_t>(pool.batch) * pool.out_h,
                          [&](std::size_t row, unsigned) { for_each_window(pool, in, out, row, body); });
  });
  return prepared;
}

}  // namespace

/// out[n,y,x,c] = clamp(round(mean of in[n,v,u,c] over the part of the window inside the picture)), in the same
/// quantisation. Source: reference/integer_ops/pooling.h, reference/pooling.h.
Result<PreparedOp> prepare_average_pool(const NodeView& node) {
  WAYSIDE_TRY(const Pool pool, check_pool(node));
  // 2^31 / 256: beyond, a sum over one window might leave int32.
  constexpr std::int64_t kMaxWindowSize = 8'388'608;
  if (std::int64_t{std::min(pool.window_h, pool.in_h)} * std::min(pool.window_w, pool.in_w) > kMaxWindowSize) {
    return NodeView::unsupported("window {}x{}", pool.window_h, pool.window_w);
  }
  return with_8bit(node.output().type, [&](auto element) {
    using T = decltype(element);
    return pool_operator(pool, [pool](const std::uint8_t* picture, Span rows, Span columns, std::uint8_t* out) {
      mean_pixel(pool, reinterpret_cast<const T*>(picture), rows, columns, reinterpret_cast<T*>(out));
    });
  });
}

/// out[n,y,x,c] = clamp(max of in[n,v,u,c] over the window).
Result<PreparedOp> prepare_max_pool(const NodeView& node) {
  WAYSIDE_TRY(const Pool pool, check_pool(node));
  const auto channels = static_cast<std::size_t>(pool.channels);
  const MaximumArgs shape{.count = channels,
                          .row_step = pool.in_w * channels,
                          .column_step = channels,
                          .is_unsigned = node.output().type == DType::u8,
                          .clamp_min = pool.range.min,
                          .clamp_max = pool.range.max};
  return pool_operator(pool, [shape, maximum = window_maximum(node.level())](const std::uint8_t* picture, Span rows,
                                                                             Span columns, std::uint8_t* out) {
    MaximumArgs args = shape;
    args.in = picture + (rows.begin * shape.row_step) + (columns.begin * shape.column_step);
    args.out = out;
    args.rows = static_cast<std::size_t>(rows.end - rows.begin);
    args.columns = static_cast<std::size_t>(columns.end - columns.begin);
    maximum(args);
  });
}

}  // namespace wayside::accel::cpu::ops
