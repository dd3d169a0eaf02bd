// SPDX-License-Identifier: Apache-2.0
// SLICE, STRIDED_SLICE, SPLIT, UNPACK: parts of a tensor.
#include <algorithm>
#include <vector>

#include "accel/cpu/ops/ops.h"
#include "accel/cpu/ops/strided_copy.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

/// A copy of every element of a dense tensor `in`, to be narrowed by the caller.
StridedCopy whole(const Tensor& in) {
  StridedCopy copy;
  copy.dims = in.shape.extended();
  copy.in_stride = dense_strides(copy.dims);
  copy.element_bytes = size_bytes(in.type);
  return copy;
}

PreparedOp copy_operator(std::vector<StridedCopy> copies, std::uint32_t input) {
  PreparedOp prepared;
  prepared.reads.push_back(input);
  prepared.op = make_operator([copies = std::move(copies)](const RunContext& context) {
    for (std::size_t i = 0; i < copies.size(); ++i) copies[i].run(context.inputs[0], context.outputs[i]);
  });
  return prepared;
}

}  // namespace

/// out[i_d] = in[begin_d + i_d], size_d elements (-1: to the end). Source: reference/slice.h, slice.cc.
Result<PreparedOp> prepare_slice(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(3, 3, 1));
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  WAYSIDE_TRY(const auto begin, node.constant_i32(1, kMaxRank));
  WAYSIDE_TRY(const auto size, node.constant_i32(2, kMaxRank));
  if (begin.size() != in.rank() || size.size() != in.rank()) {
    return NodeView::corrupt("{} begins and {} sizes for shape {}", begin.size(), size.size(), to_string(in));
  }
  StridedCopy copy = whole(node.input(0));
  const std::size_t front = kMaxRank - in.rank();
  for (std::size_t d = 0; d < in.rank(); ++d) {
    const std::int64_t count = size[d] == -1 ? std::int64_t{in[d]} - begin[d] : size[d];
    if (begin[d] < 0 || count < 1 || begin[d] + count > in[d]) {
      return NodeView::corrupt("elements {}+{} of dimension {} of {}", begin[d], count, d, to_string(in));
    }
    copy.dims[front + d] = static_cast<std::int32_t>(count);
    copy.in_offset += begin[d] * copy.in_stride[front + d];
  }
  copy.out_stride = dense_strides(copy.dims);
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(copy.dims).last(in.rank()))));
  return copy_operator({copy}, 0);
}

namespace {

/// The elements start, start + stride, ... of one dimension.
struct AxisRange {
  std::int64_t start = 0, count = 0, stride = 1;
};

/// Source: kernels/internal/strided_slice_logic.h StridedSliceStartForAxis, StridedSliceEndForAxis.
AxisRange axis_range(const OpOptions& options, std::size_t d, std::int64_t size, std::int64_t begin, std::int64_t end,
                     std::int64_t stride) {
  const auto has = [d](std::int32_t mask) { return ((mask >> d) & 1) != 0; };
  const std::int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? size : size - 1;
  std::int64_t start = std::clamp(begin < 0 ? begin + size : begin, low, high);
  if (has(options.begin_mask)) start = stride > 0 ? 0 : size - 1;
  if (has(options.shrink_axis_mask)) return {.start = start, .count = start >= 0 && start < size ? 1 : 0, .stride = 1};
  if (options.offset) end += start;
  std::int64_t stop = std::clamp(end < 0 ? end + size : end, low, high);
  if (has(options.end_mask)) stop = stride > 0 ? size : -1;
  const std::int64_t distance = stride > 0 ? stop - start : start - stop;
  const std::int64_t step = stride > 0 ? stride : -stride;
  return {.start = start, .count = distance <= 0 ? 0 : (distance + step - 1) / step, .stride = stride};
}

}  // namespace

/// out[i_d] = in[start_d + i_d * stride_d], with the masks of the options. Source: reference/strided_slice.h.
Result<PreparedOp> prepare_strided_slice(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(4, 4, 1));
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  const OpOptions& options = node.options();
  if (options.ellipsis_mask != 0 || options.new_axis_mask != 0) {
    return NodeView::unsupported("ellipsis_mask and new_axis_mask; write the indices out");
  }
  WAYSIDE_TRY(const auto begin, node.constant_i32(1, kMaxRank));
  WAYSIDE_TRY(const auto end, node.constant_i32(2, kMaxRank));
  WAYSIDE_TRY(const auto strides, node.constant_i32(3, kMaxRank));
  if (begin.size() > in.rank() || end.size() != begin.size() || strides.size() != begin.size()) {
    return NodeView::corrupt("{} begins, {} ends, {} strides for shape {}", begin.size(), end.size(), strides.size(),
                             to_string(in));
  }
  StridedCopy copy = whole(node.input(0));
  const std::size_t front = kMaxRank - in.rank();
  std::vector<std::int32_t> out_dims;
  for (std::size_t d = 0; d < in.rank(); ++d) {
    if (d >= begin.size()) {  // dimensions that are not mentioned are taken whole
      out_dims.push_back(in[d]);
      continue;
    }
    if (strides[d] == 0) return NodeView::corrupt("stride 0 in dimension {}", d);
    const AxisRange range = axis_range(options, d, in[d], begin[d], end[d], strides[d]);
    if (range.count < 1) return NodeView::unsupported("an empty slice of dimension {}", d);
    copy.dims[front + d] = static_cast<std::int32_t>(range.count);
    copy.in_offset += range.start * copy.in_stride[front + d];
    copy.in_stride[front + d] *= range.stride;
    if (((options.shrink_axis_mask >> d) & 1) == 0) out_dims.push_back(static_cast<std::int32_t>(range.count));
  }
  copy.out_stride = dense_strides(copy.dims);
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(out_dims))));
  return copy_operator({copy}, 0);
}

/// out_k = in[..., k * n + i, ...], n = size / number of outputs; input 0 is the axis. Source: reference Split.
Result<PreparedOp> prepare_split(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_options());
  const auto count = static_cast<std::size_t>(std::max(node.options().count, 1));
  WAYSIDE_CHECK(node.expect_arity(2, 2, count));
  const Tensor& in = node.input(1);
  WAYSIDE_TRY(const auto value, node.constant_i32(0, 1));
  if (value.size() != 1) return NodeView::corrupt("its axis is not one number");
  WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(value[0], in.shape.rank()));
  if (static_cast<std::size_t>(in.shape[axis]) % count != 0) {
    return NodeView::corrupt("dimension {} of {} does not split into {}", axis, to_string(in.shape), count);
  }
  const std::size_t at = kMaxRank - in.shape.rank() + axis;
  std::vector<StridedCopy> copies;
  for (std::size_t k = 0; k < count; ++k) {
    WAYSIDE_CHECK(node.expect_movable(1, k));
    StridedCopy copy = whole(in);
    copy.dims[at] /= static_cast<std::int32_t>(count);
    copy.in_offset = static_cast<std::ptrdiff_t>(k) * copy.dims[at] * copy.in_stride[at];
    copy.out_stride = dense_strides(copy.dims);
    WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(copy.dims).last(in.shape.rank())), k));
    copies.push_back(copy);
  }
  return copy_operator(std::move(copies), 1);
}

/// out_k = in[..., k, ...] without that axis. Source: reference Unpack.
Result<PreparedOp> prepare_unpack(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_options());
  WAYSIDE_CHECK(node.expect_arity(1, 1, node.output_count()));
  const Tensor& in = node.input(0);
  WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(node.options().axis, in.shape.rank()));
  if (static_cast<std::size_t>(in.shape[axis]) != node.output_count()) {
    return NodeView::corrupt("{} outputs for dimension {} of {}", node.output_count(), axis, to_string(in.shape));
  }
  std::vector<std::int32_t> dims(in.shape.dims().begin(), in.shape.dims().end());
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  const std::size_t at = kMaxRank - in.shape.rank() + axis;
  std::vector<StridedCopy> copies;
  for (std::size_t k = 0; k < node.output_count(); ++k) {
    WAYSIDE_CHECK(node.expect_movable(0, k));
    WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(dims)), k));
    StridedCopy copy = whole(in);
    copy.dims[at] = 1;
    copy.in_offset = static_cast<std::ptrdiff_t>(k) * copy.in_stride[at];
    copy.out_stride = dense_strides(copy.dims);
    copies.push_back(copy);
  }
  return copy_operator(std::move(copies), 0);
}

}  // namespace wayside::accel::cpu::ops
