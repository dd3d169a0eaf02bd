// SPDX-License-Identifier: Apache-2.0
// MEAN over any axes of an 8-bit tensor.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "accel/cpu/ops/ops.h"
#include "accel/cpu/ops/strided_copy.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct Mean {
  std::array<std::int32_t, kMaxRank> dims{};          // of the input
  std::array<std::ptrdiff_t, kMaxRank> out_stride{};  // 0 along reduced axes
  std::size_t out_count = 1;
  std::int32_t input_bias = 0;  // zero_in * number of elements in one mean
  Multiplier factor;
  std::int32_t zero_point = 0;
  Range range;

  template <class T>
  void run(const T* in, std::int32_t* sums, T* out) const {
    std::fill_n(sums, out_count, 0);
    std::array<std::int32_t, kMaxRank> index{};
    constexpr std::size_t kInner = kMaxRank - 1;
    while (true) {
      std::ptrdiff_t to = 0;
      for (std::size_t axis = 0; axis < kInner; ++axis) to += index[axis] * out_stride[axis];
      add_row(in, sums + to);
      in += dims[kInner];
      std::size_t axis = kInner;
      while (axis > 0 && ++index[axis - 1] == dims[axis - 1]) index[--axis] = 0;
      if (axis == 0) break;
    }
    for (std::size_t i = 0; i < out_count; ++i) {
      const std::int32_t q = multiply(sums[i] - input_bias, factor);
      out[i] = static_cast<T>(range.clamp(saturating_add(q, zero_point)));
    }
  }

  /// The innermost dimension is either kept or summed up.
  template <class T>
  void add_row(const T* in, std::int32_t* sums) const {
    const std::int32_t size = dims[kMaxRank - 1];
    if (out_stride[kMaxRank - 1] != 0) {
      for (std::int32_t i = 0; i < size; ++i) sums[i] += in[i];
      return;
    }
    std::int32_t total = 0;
    for (std::int32_t i = 0; i < size; ++i) total += in[i];
    sums[0] += total;
  }
};

struct Axes {
  std::array<bool, kMaxRank> reduced{};  // by position in the extended shape
  std::int64_t count = 1;                // elements in one mean
  Shape out_shape;
};

Result<Axes> read_axes(const NodeView& node) {
  const Shape& in = node.input(0).shape;
  WAYSIDE_TRY(const auto values, node.constant_i32(1, kMaxRank));
  const std::size_t front = kMaxRank - in.rank();
  Axes axes;
  for (const std::int32_t value : values) {
    WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(value, in.rank()));
    axes.reduced[front + axis] = true;
  }
  std::vector<std::int32_t> dims;
  for (std::size_t axis = 0; axis < in.rank(); ++axis) {
    if (!axes.reduced[front + axis]) {
      dims.push_back(in[axis]);
      continue;
    }
    axes.count *= in[axis];
    if (node.options().keep_dims) dims.push_back(1);
  }
  axes.out_shape = Shape(std::span<const std::int32_t>(dims));
  return axes;
}

/// The factor scale_in / (scale_out * count): the division goes into the fixed-point value.
/// Source: reference/reduce.h QuantizedMeanOrSum.
Multiplier divided(Multiplier factor, std::int64_t count) {
  std::int32_t shift = 63 - std::countl_zero(static_cast<std::uint64_t>(count));
  shift = std::min({shift, 32, 31 + factor.shift});
  return {.value = static_cast<std::int32_t>((std::int64_t{factor.value} << shift) / count),
          .shift = factor.shift - shift};
}

}  // namespace

/// out[kept] = clamp(requant(sum over reduced of (in - zero_in)) + zero_out), factor scale_in / (scale_out * count).
Result<PreparedOp> prepare_mean(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  WAYSIDE_CHECK(node.expect_8bit());
  WAYSIDE_TRY(const Axes axes, read_axes(node));
  WAYSIDE_CHECK(node.expect_output_shape(axes.out_shape));
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  constexpr std::int64_t kMaxCount = 4'194'304;  // 2^31 / 512: neither the sum nor the bias leaves int32
  if (axes.count > kMaxCount) return NodeView::unsupported("a mean of {} elements", axes.count);
  Mean mean;
  mean.dims = in.shape.extended();
  auto kept = mean.dims;
  for (std::size_t axis = 0; axis < kMaxRank; ++axis) kept[axis] = axes.reduced[axis] ? 1 : kept[axis];
  mean.out_stride = dense_strides(kept);
  for (std::size_t axis = 0; axis < kMaxRank; ++axis) {
    if (axes.reduced[axis]) mean.out_stride[axis] = 0;
  }
  const double ratio = double{in.quantization.scale} / double{out.quantization.scale};
  WAYSIDE_TRY(const Multiplier factor, node.multiplier(ratio, "scale ratio"));
  mean.factor = divided(factor, axes.count);
  mean.out_count = out.shape.element_count();
  mean.input_bias = static_cast<std::int32_t>(in.quantization.zero_point * axes.count);
  mean.zero_point = out.quantization.zero_point;
  mean.range = type_range(out.type);
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.scratch_bytes = mean.out_count * sizeof(std::int32_t);
  with_8bit(out.type, [&](auto element) {
    using T = decltype(element);
    prepared.op = make_operator([mean](const RunContext& context) {
      mean.run(context.input<T>(0), reinterpret_cast<std::int32_t*>(context.scratch), context.output<T>());
    });
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
