// SPDX-License-Identifier: Apache-2.0
// Operators that only move bytes: RESHAPE, SQUEEZE, EXPAND_DIMS (nothing to run), TRANSPOSE, PAD, PADV2, PACK.
#include <algorithm>
#include <cstring>
#include <vector>

#include "accel/cpu/ops/ops.h"
#include "accel/cpu/ops/strided_copy.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

/// The same bytes under another shape.
Result<PreparedOp> alias(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  const Shape& out = node.output().shape;
  if (in.element_count() != out.element_count()) {
    return NodeView::corrupt("input {} and output {} differ in size", to_string(in), to_string(out));
  }
  PreparedOp prepared;
  prepared.reads.push_back(0);
  return prepared;
}

/// A wanted shape in which at most one -1 stands for what is left.
Result<Shape> resolve_shape(std::vector<std::int32_t> wanted, std::size_t element_count) {
  // Early converters wrote [0] for a scalar.
  if (wanted.size() == 1 && wanted[0] == 0) wanted.clear();
  std::size_t known = 1, unknown_axis = wanted.size();
  for (std::size_t axis = 0; axis < wanted.size(); ++axis) {
    if (wanted[axis] == -1 && unknown_axis == wanted.size()) {
      unknown_axis = axis;
      continue;
    }
    if (wanted[axis] <= 0) return NodeView::corrupt("wanted dimension {} is {}", axis, wanted[axis]);
    if (static_cast<std::size_t>(wanted[axis]) > kMaxTensorBytes / known)
      return NodeView::corrupt("shape is too large");
    known *= static_cast<std::size_t>(wanted[axis]);
  }
  if (unknown_axis < wanted.size()) {
    if (element_count % known != 0 || element_count / known > kMaxTensorBytes) {
      return NodeView::corrupt("{} elements do not divide by {}", element_count, known);
    }
    wanted[unknown_axis] = static_cast<std::int32_t>(element_count / known);
  }
  return Shape(std::span<const std::int32_t>(wanted));
}

PreparedOp copy_operator(const StridedCopy& copy) {
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([copy](const RunContext& context) { copy.run(context.inputs[0], context.outputs[0]); });
  return prepared;
}

}  // namespace

/// The wanted shape is input 1 where it is a constant, else the options' new_shape, else the output tensor's own.
Result<PreparedOp> prepare_reshape(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 2, 1));
  std::vector<std::int32_t> wanted = node.options().shape;
  bool stated = !wanted.empty();
  if (node.has_input(1) && node.input(1).is_constant() && node.input(1).shape.rank() == 1) {
    WAYSIDE_TRY(wanted, node.constant_i32(1, kMaxRank));
    stated = true;
  }
  if (stated) {
    WAYSIDE_TRY(const Shape computed, resolve_shape(std::move(wanted), node.input(0).shape.element_count()));
    WAYSIDE_CHECK(node.expect_output_shape(computed));
  }
  return alias(node);
}

/// Removes the given dimensions of size 1, or all of them when none are given.
Result<PreparedOp> prepare_squeeze(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  const Shape& in = node.input(0).shape;
  std::vector<bool> removed(in.rank(), false);
  for (const std::int32_t raw : node.options().shape) {
    WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(raw, in.rank()));
    if (in[axis] != 1) return NodeView::corrupt("dimension {} of {} is not 1", axis, to_string(in));
    removed[axis] = true;
  }
  std::vector<std::int32_t> kept;
  for (std::size_t axis = 0; axis < in.rank(); ++axis) {
    const bool drop = node.options().shape.empty() ? in[axis] == 1 : removed[axis];
    if (!drop) kept.push_back(in[axis]);
  }
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(kept))));
  return alias(node);
}

/// Puts a dimension of size 1 at `axis` (input 1) of the output.
Result<PreparedOp> prepare_expand_dims(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  const Shape& in = node.input(0).shape;
  if (in.rank() == kMaxRank) return NodeView::unsupported("more than {} dimensions", kMaxRank);
  WAYSIDE_TRY(const auto value, node.constant_i32(1, 1));
  if (value.size() != 1) return NodeView::corrupt("its axis is not one number");
  WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(value[0], in.rank() + 1));
  std::vector<std::int32_t> dims(in.dims().begin(), in.dims().end());
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(dims))));
  return alias(node);
}

/// out[i_0, i_1, ...] = in[j], j_{permutation[d]} = i_d. Source: reference/transpose.h.
Result<PreparedOp> prepare_transpose(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  WAYSIDE_TRY(const auto permutation, node.constant_i32(1, kMaxRank));
  if (permutation.size() != in.rank()) {
    return NodeView::corrupt("permutation of {} for shape {}", permutation.size(), to_string(in));
  }
  const auto strides = dense_strides(in.extended());
  const std::size_t pad = kMaxRank - in.rank();
  StridedCopy copy;
  copy.dims.fill(1);
  std::vector<std::int32_t> dims;
  std::vector<bool> seen(in.rank(), false);
  for (std::size_t d = 0; d < in.rank(); ++d) {
    WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(permutation[d], in.rank()));
    if (seen[axis]) return NodeView::corrupt("permutation has axis {} twice", axis);
    seen[axis] = true;
    dims.push_back(in[axis]);
    copy.dims[pad + d] = in[axis];
    copy.in_stride[pad + d] = strides[pad + axis];
  }
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(dims))));
  copy.out_stride = dense_strides(copy.dims);
  copy.element_bytes = size_bytes(node.input(0).type);
  return copy_operator(copy);
}

namespace {

struct PadValue {
  std::array<std::byte, 4> bytes{};
  std::size_t size = 1;
  void fill(std::byte* out, std::size_t out_bytes) const {
    if (size == 1) {
      std::memset(out, std::to_integer<int>(bytes[0]), out_bytes);
      return;
    }
    for (std::size_t at = 0; at < out_bytes; at += size) std::memcpy(out + at, bytes.data(), size);
  }
};

/// PAD fills with real 0, which is the zero point; PADV2 with the value of input 2 as it is stored.
Result<PadValue> pad_value(const NodeView& node) {
  const Tensor& in = node.input(0);
  PadValue value{.bytes = {}, .size = size_bytes(in.type)};
  if (!node.has_input(2)) {
    if (is_8bit(in.type)) value.bytes[0] = static_cast<std::byte>(node.output().quantization.zero_point);
    return value;
  }
  const Tensor& constant = node.input(2);
  if (!constant.is_constant() || constant.type != in.type || constant.shape.element_count() != 1) {
    return NodeView::unsupported("its fill value must be one constant {}", to_string(in.type));
  }
  std::memcpy(value.bytes.data(), constant.data.data(), value.size);
  return value;
}

/// The pads of a picture with its own zero point around it.
std::optional<PicturePadding> picture_padding(const NodeView& node, const std::vector<std::int32_t>& paddings,
                                              const PadValue& value) {
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  const bool picture = in.shape.rank() == 4 && is_8bit(in.type) && in.scales.size() == 1 && out.scales.size() == 1;
  if (!picture || std::max({paddings[0], paddings[1], paddings[6], paddings[7]}) > 0) return std::nullopt;
  if (value.bytes[0] != static_cast<std::byte>(in.quantization.zero_point)) return std::nullopt;
  return PicturePadding{.top = paddings[2], .left = paddings[4], .bottom = paddings[3], .right = paddings[5]};
}

}  // namespace

/// out[i_d + before_d] = in[i_d], the rest is the fill value; input 1 is i32 [rank,2] of (before, after).
/// Source: reference/pad.h, pad.cc.
Result<PreparedOp> prepare_pad(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 3, 1));
  WAYSIDE_CHECK(node.expect_movable());
  const Shape& in = node.input(0).shape;
  WAYSIDE_TRY(const auto paddings, node.constant_i32(1, 2 * kMaxRank));
  if (paddings.size() != 2 * in.rank()) {
    return NodeView::corrupt("{} paddings for shape {}", paddings.size(), to_string(in));
  }
  WAYSIDE_TRY(const PadValue value, pad_value(node));
  const std::size_t front = kMaxRank - in.rank();
  StridedCopy copy;
  copy.dims = in.extended();
  auto out_dims = copy.dims;
  for (std::size_t d = 0; d < in.rank(); ++d) {
    const std::int32_t before = paddings[2 * d], after = paddings[(2 * d) + 1];
    const std::int64_t size = std::int64_t{before} + in[d] + after;
    if (before < 0 || after < 0 || size > INT32_MAX) {
      return NodeView::corrupt("padding ({}, {}) of dimension {}", before, after, d);
    }
    out_dims[front + d] = static_cast<std::int32_t>(size);
  }
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(out_dims).last(in.rank()))));
  copy.in_stride = dense_strides(copy.dims);
  copy.out_stride = dense_strides(out_dims);
  copy.element_bytes = size_bytes(node.input(0).type);
  for (std::size_t d = 0; d < in.rank(); ++d) copy.out_offset += paddings[2 * d] * copy.out_stride[front + d];
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.padding = picture_padding(node, paddings, value);
  prepared.op = make_operator([copy, value, bytes = node.output().byte_count()](const RunContext& context) {
    value.fill(context.outputs[0], bytes);
    copy.run(context.inputs[0], context.outputs[0]);
  });
  return prepared;
}

/// out[..., k, ...] = in_k[...], a new axis. Source: reference Pack.
Result<PreparedOp> prepare_pack(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, kMaxOperatorTensors, 1));
  WAYSIDE_CHECK(node.expect_options());
  const Shape& in = node.input(0).shape;
  if (in.rank() == kMaxRank) return NodeView::unsupported("more than {} dimensions", kMaxRank);
  WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(node.options().axis, in.rank() + 1));
  PreparedOp prepared;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i) || !(node.input(i).shape == in)) return NodeView::corrupt("input {} has another shape", i);
    WAYSIDE_CHECK(node.expect_movable(i));
    prepared.reads.push_back(static_cast<std::uint32_t>(i));
  }
  std::vector<std::int32_t> dims(in.dims().begin(), in.dims().end());
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), static_cast<std::int32_t>(node.input_count()));
  WAYSIDE_CHECK(node.expect_output_shape(Shape(std::span<const std::int32_t>(dims))));
  const std::size_t outer = in.product(0, axis);
  const std::size_t run_bytes = in.product(axis, in.rank()) * size_bytes(node.input(0).type);
  prepared.op = make_operator([outer, run_bytes](const RunContext& context) {
    std::byte* out = context.outputs[0];
    for (std::size_t step = 0; step < outer; ++step) {
      for (const std::byte* in_part : context.inputs) {
        std::memcpy(out, in_part + (step * run_bytes), run_bytes);
        out += run_bytes;
      }
    }
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
