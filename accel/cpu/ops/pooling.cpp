// SPDX-License-Identifier: Apache-2.0
// AVERAGE_POOL_2D and MAX_POOL_2D on 8-bit pictures.
#include <algorithm>
#include <cstdint>

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

/// What is kept of a window's channel, from its first value on.
struct Mean {
  template <class T>
  using State = std::int32_t;
  static void add(std::int32_t& sum, std::int32_t x) { sum += x; }
  /// Nearest, halves away from zero.
  static std::int32_t result(std::int32_t sum, std::int32_t count) {
    return sum > 0 ? (sum + (count / 2)) / count : (sum - (count / 2)) / count;
  }
};

struct Maximum {
  template <class T>
  using State = T;  // as narrow as the input: more of them in a vector
  template <class T>
  static void add(T& largest, T x) {
    largest = largest < x ? x : largest;
  }
  static std::int32_t result(std::int32_t largest, std::int32_t /*count*/) { return largest; }
};

/// One output pixel; in blocks of channels so that the innermost loops run along memory.
template <class T, class Accumulator>
void pool_pixel(const Pool& pool, const T* picture, Span rows, Span columns, T* out) {
  constexpr std::int32_t kBlock = 64;
  const std::int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
  for (std::int32_t first = 0; first < pool.channels; first += kBlock) {
    const std::int32_t width = std::min(kBlock, pool.channels - first);
    typename Accumulator::template State<T> states[kBlock] = {};
    const auto pixel_at = [&](std::int32_t y, std::int32_t x) {
      return picture + ((static_cast<std::size_t>(y) * pool.in_w + x) * pool.channels) + first;
    };
    const T* corner = pixel_at(rows.begin, columns.begin);
    for (std::int32_t c = 0; c < width; ++c) states[c] = corner[c];
    for (std::int32_t y = rows.begin; y < rows.end; ++y) {
      for (std::int32_t x = columns.begin + (y == rows.begin ? 1 : 0); x < columns.end; ++x) {
        const T* pixel = pixel_at(y, x);
        if (width == kBlock) {
          for (std::int32_t c = 0; c < kBlock; ++c) Accumulator::add(states[c], pixel[c]);
        } else {
          for (std::int32_t c = 0; c < width; ++c) Accumulator::add(states[c], pixel[c]);
        }
      }
    }
    for (std::int32_t c = 0; c < width; ++c) {
      out[first + c] = static_cast<T>(pool.range.clamp(Accumulator::result(states[c], count)));
    }
  }
}

template <class T, class Accumulator>
void pool_row(const Pool& pool, const T* in, T* out, std::size_t row) {
  const auto n = row / static_cast<std::size_t>(pool.out_h);
  const auto y = static_cast<std::int32_t>(row % static_cast<std::size_t>(pool.out_h));
  const T* picture = in + (n * pool.in_h * pool.in_w * pool.channels);
  T* to = out + (row * pool.out_w * pool.channels);
  const Span rows = window_span(y, pool.stride_h, pool.pad_top, pool.window_h, pool.in_h);
  for (std::int32_t x = 0; x < pool.out_w; ++x) {
    const Span columns = window_span(x, pool.stride_w, pool.pad_left, pool.window_w, pool.in_w);
    pool_pixel<T, Accumulator>(pool, picture, rows, columns, to + (static_cast<std::size_t>(x) * pool.channels));
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

template <class Accumulator>
Result<PreparedOp> prepare_pool(const NodeView& node) {
  WAYSIDE_TRY(const Pool pool, check_pool(node));
  // 2^31 / 256: beyond, a sum over one window might leave int32.
  constexpr std::int64_t kMaxWindowSize = 8'388'608;
  if (std::int64_t{std::min(pool.window_h, pool.in_h)} * std::min(pool.window_w, pool.in_w) > kMaxWindowSize) {
    return NodeView::unsupported("window {}x{}", pool.window_h, pool.window_w);
  }
  PreparedOp prepared;
  prepared.reads.push_back(0);
  with_8bit(node.output().type, [&](auto element) {
    using T = decltype(element);
    prepared.op = make_operator([pool](const RunContext& context) {
      const T* in = context.input<T>(0);
      T* out = context.output<T>();
      context.pool.for_each(static_cast<std::size_t>(pool.batch) * pool.out_h,
                            [&](std::size_t row, unsigned) { pool_row<T, Accumulator>(pool, in, out, row); });
    });
  });
  return prepared;
}

}  // namespace

/// out[n,y,x,c] = clamp(round(mean of in[n,v,u,c] over the part of the window inside the picture)), in the same
/// quantisation. Source: reference/integer_ops/pooling.h, reference/pooling.h.
Result<PreparedOp> prepare_average_pool(const NodeView& node) { return prepare_pool<Mean>(node); }

/// out[n,y,x,c] = clamp(max of in[n,v,u,c] over the window).
Result<PreparedOp> prepare_max_pool(const NodeView& node) { return prepare_pool<Maximum>(node); }

}  // namespace wayside::accel::cpu::ops
