// SPDX-License-Identifier: Apache-2.0
// TFLite's operators that put elements elsewhere, and those that only change how numbers are stored.
#include <algorithm>
#include <cstdint>
#include <format>
#include <utility>

#include "optimizer/import/stated_range.h"
#include "optimizer/import/tflite_importer.h"

namespace wayside::optimizer::tflite_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using cpu::Node;
using cpu::OpCode;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

/// RESHAPE, SQUEEZE, EXPAND_DIMS: the file says which shape comes out.
Result<void> reshape(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  const auto& like = importer.result(node);
  WAYSIDE_TRY(const TensorId out,
              importer.append({.kind = OpKind::reshape, .inputs = {in}}, like, in_graph(like.shape)));
  return importer.define(node, out);
}

/// DEQUANTIZE, and QUANTIZE of real numbers, change nothing. From one range to a narrower one QUANTIZE cuts off.
Result<void> same(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(TensorId id, importer.value(node, 0));
  WAYSIDE_TRY(const auto* from, importer.tensor(node, 0));
  const auto& to = importer.result(node);
  const auto range = [](const cpu::Tensor& tensor) {
    return range_of(tensor.quantization.scale, tensor.quantization.zero_point,
                    tensor.type == accel::DType::u8 ? 0 : -128);
  };
  const bool both = from->scales.size() == 1 && to.scales.size() == 1;
  const float step = to.quantization.scale;
  if (both && (range(to).low > range(*from).low + step || range(to).high < range(*from).high - step)) {
    WAYSIDE_TRY(id, importer.append(
                        {.kind = OpKind::clip, .inputs = {id}, .alpha = range(to).low, .beta = range(to).high}, to));
  }
  return importer.define(node, id);
}

Result<void> transpose(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  Op op{.kind = OpKind::transpose, .inputs = {in}};
  WAYSIDE_TRY(op.axes, importer.wholes(node, 1));
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node)));
  return importer.define(node, out);
}

Result<void> pad(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  Op op{.kind = OpKind::pad, .inputs = {in}};
  WAYSIDE_TRY(op.axes, importer.wholes(node, 1));
  if (node.inputs.size() > 2) {
    WAYSIDE_TRY(const auto fill, importer.reals(node, 2));
    if (fill.size() != 1) return fail(Code::corrupt, "more than one value to fill with");
    op.alpha = fill[0];
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node)));
  return importer.define(node, out);
}

Result<void> concatenation(TfliteImporter& importer, const Node& node) {
  Op op{.kind = OpKind::concat};
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    WAYSIDE_TRY(const TensorId in, importer.value(node, i));
    op.inputs.push_back(in);
  }
  if (op.inputs.empty()) return fail(Code::corrupt, "no inputs");
  WAYSIDE_TRY(const int axis, wrap_axis(node.options.axis, importer.shape(op.inputs[0]).size()));
  op.axes = {axis};
  WAYSIDE_TRY(const TensorId out, importer.append_activated(std::move(op), node));
  return importer.define(node, out);
}

/// `count` elements along `axis` from `first` on; all of the other axes.
Result<TensorId> part_of(TfliteImporter& importer, const Node& node, TensorId in, std::size_t axis, int first,
                         int count) {
  ir::Shape shape = importer.shape(in);
  Op op{.kind = OpKind::slice, .inputs = {in}, .axes = ir::Shape(shape.size(), 0), .steps = ir::Shape(shape.size(), 1)};
  op.axes[axis] = first;
  shape[axis] = count;
  return importer.append(std::move(op), importer.result(node), shape);
}

Result<void> split(TfliteImporter& importer, const Node& node) {
  const bool unpacks = node.entry->code == OpCode::unpack;
  WAYSIDE_TRY(const TensorId in, importer.value(node, unpacks ? 0 : 1));
  std::int64_t along = node.options.axis;
  if (!unpacks) {
    WAYSIDE_TRY(const auto axis, importer.wholes(node, 0));
    if (axis.size() != 1) return fail(Code::corrupt, "the axis is not one number");
    along = axis[0];
  }
  WAYSIDE_TRY(const int axis, wrap_axis(along, importer.shape(in).size()));
  const auto at = static_cast<std::size_t>(axis);
  const int size = importer.shape(in)[at], parts = static_cast<int>(node.outputs.size());
  if (size % parts != 0) return fail(Code::corrupt, std::format("{} parts of {}", parts, size));
  for (int i = 0; i < parts; ++i) {
    WAYSIDE_TRY(const TensorId out, part_of(importer, node, in, at, i * (size / parts), size / parts));
    WAYSIDE_CHECK(importer.define(node, out, static_cast<std::size_t>(i)));
  }
  return {};
}

Result<void> pack(TfliteImporter& importer, const Node& node) {
  Op op{.kind = OpKind::concat};
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    WAYSIDE_TRY(const TensorId in, importer.value(node, i));
    ir::Shape shape = importer.shape(in);
    WAYSIDE_TRY(const int axis, wrap_axis(node.options.axis, shape.size() + 1));
    op.axes = {axis};
    shape.insert(shape.begin() + axis, 1);
    WAYSIDE_TRY(const TensorId with_one,
                importer.append({.kind = OpKind::reshape, .inputs = {in}}, importer.result(node), shape));
    op.inputs.push_back(with_one);
  }
  if (op.inputs.empty()) return fail(Code::corrupt, "no inputs");
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node)));
  return importer.define(node, out);
}

Result<void> slice(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(const auto begin, importer.wholes(node, 1));
  Op op{.kind = OpKind::slice, .inputs = {in}, .axes = begin, .steps = ir::Shape(begin.size(), 1)};
  const auto& like = importer.result(node);
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), like, in_graph(like.shape)));
  return importer.define(node, out);
}

/// Where each axis begins; how many elements it keeps is in the shape that the file says.
/// Source: kernels/internal/strided_slice_logic.h StridedSliceStartForAxis.
Result<void> strided_slice(TfliteImporter& importer, const Node& node) {
  const auto& options = node.options;
  if (options.ellipsis_mask != 0 || options.new_axis_mask != 0)
    return unsupported("ellipsis_mask or new_axis_mask; supported are begin, end and shrink masks");
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(const auto begin, importer.wholes(node, 1));
  WAYSIDE_TRY(const auto steps, importer.wholes(node, 3));
  const ir::Shape shape = importer.shape(in), out_shape = in_graph(importer.result(node).shape);
  if (begin.size() != shape.size() || steps.size() != shape.size())
    return unsupported(
        std::format("{} begins for input {}; supported is one for each axis", begin.size(), ir::to_string(shape)));
  Op op{.kind = OpKind::slice, .inputs = {in}};
  ir::Shape wanted;
  std::size_t next = 0;  // axis of the result, which lacks those that are shrunk
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto has = [i](std::int32_t mask) { return ((mask >> i) & 1) != 0; };
    const bool shrinks = has(options.shrink_axis_mask);
    const int step = shrinks ? 1 : steps[i];
    std::int64_t first = begin[i] < 0 ? std::int64_t{begin[i]} + shape[i] : begin[i];
    if (has(options.begin_mask)) first = step > 0 ? 0 : shape[i] - 1;
    first = std::clamp<std::int64_t>(first, 0, shape[i] - 1);
    if (!shrinks && next >= out_shape.size()) return fail(Code::corrupt, "the result has too few dimensions");
    op.axes.push_back(static_cast<int>(first));
    op.steps.push_back(step);
    wanted.push_back(shrinks ? 1 : out_shape[next++]);
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node), wanted));
  return importer.define(node, out);
}

constexpr HandlerEntry kHandlers[] = {
    {OpCode::reshape, reshape},
    {OpCode::squeeze, reshape},
    {OpCode::expand_dims, reshape},
    {OpCode::quantize, same},
    {OpCode::dequantize, same},
    {OpCode::transpose, transpose},
    {OpCode::pad, pad},
    {OpCode::padv2, pad},
    {OpCode::concatenation, concatenation},
    {OpCode::split, split},
    {OpCode::unpack, split},
    {OpCode::pack, pack},
    {OpCode::slice, slice},
    {OpCode::strided_slice, strided_slice},
};

}  // namespace

std::span<const HandlerEntry> movement_handlers() { return kHandlers; }

}  // namespace wayside::optimizer::tflite_import
