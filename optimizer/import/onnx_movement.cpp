// SPDX-License-Identifier: Apache-2.0
// ONNX operators that move elements: reshape, transpose, slice, concat, gather, pad and their kin.
#include <algorithm>
#include <format>
#include <numeric>
#include <utility>

#include "optimizer/import/onnx_importer.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

Result<void> reshape_to(Importer& importer, const Node& node, const Value& x, const Shape& shape) {
  WAYSIDE_TRY(const TensorId in, importer.plain(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::reshape, .inputs = {in}}, node.outputs[0],
                                                  shape.empty() ? Shape{1} : shape));
  return importer.define_plain(node, out);
}

/// ONNX: 0 keeps a dimension (without allowzero), -1 is what is left.
Result<void> reshape(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const auto wanted, importer.numbers(node, 1, "shape"));
  if (wanted.size() > ir::kMaxRank)
    return unsupported(std::format("rank {}; supported are up to {}", wanted.size(), ir::kMaxRank));
  Shape shape;
  std::size_t known = 1;
  std::ptrdiff_t open = -1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::int64_t dim = wanted[i];
    if (dim == 0 && node.whole("allowzero", 0) == 0 && i < x.shape.size()) dim = x.shape[i];
    if (dim == -1 && open < 0) {
      open = static_cast<std::ptrdiff_t>(i);
      dim = 1;
    }
    if (dim < 1 || dim > (1 << 28))
      return unsupported(std::format("a new dimension of {}; supported are 1 and more", wanted[i]));
    shape.push_back(static_cast<int>(dim));
    known *= static_cast<std::size_t>(dim);
  }
  const std::size_t count = ir::element_count(x.shape);
  if (open >= 0 && known > 0) shape[static_cast<std::size_t>(open)] = static_cast<int>(count / known);
  return reshape_to(importer, node, x, shape);
}

Result<void> flatten(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const std::int64_t given = node.whole("axis", 1), rank = static_cast<std::int64_t>(x.shape.size());
  const std::int64_t axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank) return fail(Code::corrupt, std::format("axis {}", given));
  const int outer = static_cast<int>(ir::element_count({x.shape.begin(), x.shape.begin() + axis}));
  const int inner = static_cast<int>(ir::element_count({x.shape.begin() + axis, x.shape.end()}));
  return reshape_to(importer, node, x, {outer, inner});
}

Result<void> squeeze(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const auto axes, importer.numbers(node, 1, "axes"));
  Shape shape = x.shape;
  for (const auto entry : axes) {
    WAYSIDE_TRY(const int axis, wrap_axis(entry, x.shape.size()));
    if (x.shape[static_cast<std::size_t>(axis)] != 1) return fail(Code::corrupt, std::format("axis {} is not 1", axis));
    shape[static_cast<std::size_t>(axis)] = 0;
  }
  if (axes.empty()) std::ranges::replace(shape, 1, 0);
  std::erase(shape, 0);
  return reshape_to(importer, node, x, shape);
}

Result<void> unsqueeze(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const auto axes, importer.numbers(node, 1, "axes"));
  const std::size_t rank = x.shape.size() + axes.size();
  if (rank > ir::kMaxRank) return unsupported(std::format("rank {}; supported are up to {}", rank, ir::kMaxRank));
  Shape shape(rank, 0);
  for (const auto entry : axes) {
    WAYSIDE_TRY(const int axis, wrap_axis(entry, rank));
    if (std::exchange(shape[static_cast<std::size_t>(axis)], 1) != 0) return fail(Code::corrupt, "an axis twice");
  }
  auto next = x.shape.begin();
  for (int& dim : shape) {
    if (dim == 0) dim = *next++;
  }
  return reshape_to(importer, node, x, shape);
}

Result<TensorId> permuted(Importer& importer, TensorId in, std::vector<int> order, const std::string& name) {
  return importer.append({.kind = OpKind::transpose, .inputs = {in}, .axes = std::move(order)}, name);
}

Result<void> transpose(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const auto given = node.wholes("perm");
  std::vector<int> order(x.shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(order.size() - 1 - i);
  if (!given.empty()) {
    order.clear();
    for (const auto axis : given) order.push_back(static_cast<int>(std::clamp<std::int64_t>(axis, -1, 100)));
  }
  WAYSIDE_TRY(const TensorId in, importer.plain(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId out, permuted(importer, in, std::move(order), node.outputs[0]));
  return importer.define_plain(node, out);
}

/// DepthToSpace and SpaceToDepth: split an axis, exchange, merge.
Result<void> depth_space(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const std::int64_t block = node.whole("blocksize", 0);
  if (x.shape.size() != 4 || block < 1 || block > 64)
    return unsupported("supported are pictures and a blocksize of 1..64");
  const int b = static_cast<int>(block), n = x.shape[0], c = x.shape[1], h = x.shape[2], w = x.shape[3];
  const bool to_space = node.op == "DepthToSpace";
  if (to_space ? c % (b * b) != 0 : (h % b != 0 || w % b != 0))
    return fail(Code::corrupt, "the blocksize does not divide the tensor");
  Shape split, merged;
  std::vector<int> order;
  if (to_space) {
    const bool column_row = node.text("mode", "DCR") == "CRD";
    split = column_row ? Shape{n, c / (b * b), b, b, h, w} : Shape{n, b, b, c / (b * b), h, w};
    order = column_row ? std::vector<int>{0, 1, 4, 2, 5, 3} : std::vector<int>{0, 3, 4, 1, 5, 2};
    merged = {n, c / (b * b), h * b, w * b};
  } else {
    split = {n, c, h / b, b, w / b, b};
    order = {0, 3, 5, 1, 2, 4};
    merged = {n, c * b * b, h / b, w / b};
  }
  const std::string& name = node.outputs[0];
  WAYSIDE_TRY(const TensorId in, importer.plain(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId parts, importer.append({.kind = OpKind::reshape, .inputs = {in}}, name + "/split", split));
  WAYSIDE_TRY(const TensorId moved, permuted(importer, parts, order, name + "/moved"));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::reshape, .inputs = {moved}}, name, merged));
  return importer.define_plain(node, out);
}

Result<void> concat(Importer& importer, const Node& node) {
  Op op{.kind = OpKind::concat};
  std::size_t rank = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    WAYSIDE_TRY(const Value x, importer.value(node, i));
    rank = x.shape.size();
    WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[i]));
    op.inputs.push_back(in);
  }
  WAYSIDE_TRY(const int axis, wrap_axis(node.whole("axis", 1), rank));
  op.axes = {stored_axis(axis, rank)};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

/// A slice along some axes of ONNX's order; begins, steps and sizes have one entry for each.
struct Cut {
  std::vector<int> begin, step;
  Shape size;
};

Result<TensorId> cut(Importer& importer, const Value& x, const Cut& cut, const std::string& name) {
  const std::size_t rank = x.shape.size();
  Op op{.kind = OpKind::slice, .axes = std::vector<int>(rank), .steps = std::vector<int>(rank)};
  Shape size(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto to = static_cast<std::size_t>(stored_axis(static_cast<int>(i), rank));
    op.axes[to] = cut.begin[i];
    op.steps[to] = cut.step[i];
    size[to] = cut.size[i];
  }
  WAYSIDE_TRY(const TensorId in, importer.stored(x, name + "/whole"));
  op.inputs = {in};
  return importer.append(std::move(op), name, size);
}

Cut whole(const Shape& shape) {
  return {.begin = std::vector<int>(shape.size(), 0), .step = std::vector<int>(shape.size(), 1), .size = shape};
}

Result<void> slice(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const auto starts, importer.numbers(node, 1, "starts"));
  WAYSIDE_TRY(const auto ends, importer.numbers(node, 2, "ends"));
  WAYSIDE_TRY(auto axes, importer.numbers(node, 3, "axes"));
  WAYSIDE_TRY(auto steps, importer.numbers(node, 4, "steps"));
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    return fail(Code::corrupt, "starts, ends, axes and steps of different lengths");
  Cut c = whole(x.shape);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    WAYSIDE_TRY(const int axis, wrap_axis(axes[i], x.shape.size()));
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t dim = x.shape[a], step = steps[i];
    if (step == 0 || step < -(1 << 20) || step > (1 << 20))
      return fail(Code::corrupt, std::format("a step of {}", step));
    const auto wrapped = [dim](std::int64_t at) { return at < 0 ? std::max(at, -dim - 1) + dim : at; };
    const std::int64_t first =
        std::clamp<std::int64_t>(wrapped(starts[i]), step > 0 ? 0 : -1, step > 0 ? dim : dim - 1);
    const std::int64_t last = std::clamp<std::int64_t>(wrapped(ends[i]), step > 0 ? 0 : -1, step > 0 ? dim : dim - 1);
    const std::int64_t count = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step;
    if (count < 1) return unsupported("an empty slice; supported are slices that keep something");
    c.begin[a] = static_cast<int>(first);
    c.step[a] = static_cast<int>(step);
    c.size[a] = static_cast<int>(count);
  }
  WAYSIDE_TRY(const TensorId out, cut(importer, x, c, node.outputs[0]));
  return importer.define(node, out);
}

Result<void> split(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const int axis, wrap_axis(node.whole("axis", 0), x.shape.size()));
  const auto a = static_cast<std::size_t>(axis);
  WAYSIDE_TRY(auto sizes, importer.numbers(node, 1, "split"));
  if (sizes.empty()) {
    const auto parts = static_cast<std::int64_t>(node.outputs.size());
    const std::int64_t each = (x.shape[a] + parts - 1) / parts;
    sizes.assign(node.outputs.size(), each);
    sizes.back() = x.shape[a] - each * (parts - 1);
  }
  if (sizes.size() != node.outputs.size()) return fail(Code::corrupt, "as many sizes as outputs are needed");
  Cut c = whole(x.shape);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 1 || sizes[i] > x.shape[a])
      return unsupported("an empty part; supported are parts that keep something");
    c.size[a] = static_cast<int>(sizes[i]);
    WAYSIDE_TRY(const TensorId part, cut(importer, x, c, node.outputs[i]));
    WAYSIDE_CHECK(importer.define(node, part, i));
    c.begin[a] += c.size[a];
  }
  return {};
}

/// A constant index, or indices with a constant step, are a slice; other indices a concat of slices.
Result<void> gather(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const Literal* indices, importer.literal(node, 1));
  WAYSIDE_TRY(const int axis, wrap_axis(node.whole("axis", 0), x.shape.size()));
  const auto a = static_cast<std::size_t>(axis);
  constexpr std::size_t kMostParts = 256;
  if (!indices->whole || indices->shape.size() > 1 || indices->size() == 0)
    return unsupported("supported are indices that are a constant number or list");
  std::vector<int> at;
  for (const auto index : indices->wholes) {
    const std::int64_t wrapped = index < 0 ? index + x.shape[a] : index;
    if (wrapped < 0 || wrapped >= x.shape[a])
      return fail(Code::corrupt, std::format("index {} of {}", index, x.shape[a]));
    at.push_back(static_cast<int>(wrapped));
  }
  Cut c = whole(x.shape);
  const int step = at.size() > 1 && at[1] != at[0] ? at[1] - at[0] : 1;
  bool even = true;
  for (std::size_t i = 1; i < at.size(); ++i) even = even && at[i] - at[i - 1] == step;
  TensorId out = 0;
  if (even) {
    c.begin[a] = at[0];
    c.step[a] = step;
    c.size[a] = static_cast<int>(at.size());
    WAYSIDE_TRY(out, cut(importer, x, c, node.outputs[0]));
  } else {
    if (at.size() > kMostParts)
      return unsupported(std::format("{} indices; supported are up to {}", at.size(), kMostParts));
    Op join{.kind = OpKind::concat, .axes = {stored_axis(axis, x.shape.size())}};
    c.size[a] = 1;
    for (const int index : at) {
      c.begin[a] = index;
      WAYSIDE_TRY(const TensorId part, cut(importer, x, c, std::format("{}/{}", node.outputs[0], index)));
      join.inputs.push_back(part);
    }
    WAYSIDE_TRY(out, importer.append(std::move(join), node.outputs[0]));
  }
  if (!indices->shape.empty()) return importer.define(node, out);
  Shape dropped = x.shape;
  dropped.erase(dropped.begin() + axis);
  c.size[a] = 1;
  return reshape_to(importer, node, {.shape = c.size, .tensor = out}, dropped);
}

Result<void> pad(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const std::size_t rank = x.shape.size();
  if (node.text("mode", "constant") != "constant") return unsupported("supported is the mode constant");
  WAYSIDE_TRY(const auto amounts, importer.numbers(node, 1, "pads"));
  WAYSIDE_TRY(auto axes, importer.numbers(node, 3, ""));
  if (axes.empty()) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (amounts.size() != 2 * axes.size()) return fail(Code::corrupt, "as many amounts as sides are needed");
  Op op{.kind = OpKind::pad, .axes = std::vector<int>(2 * rank), .alpha = node.number("value", 0)};
  if (node.has_input(2)) {
    WAYSIDE_TRY(const Literal* value, importer.literal(node, 2));
    if (value->whole || value->size() != 1) return unsupported("supported is a float as the constant");
    op.alpha = value->floats[0];
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    WAYSIDE_TRY(const int axis, wrap_axis(axes[i], rank));
    const auto to = 2 * static_cast<std::size_t>(stored_axis(axis, rank));
    for (std::size_t side = 0; side < 2; ++side) {
      const std::int64_t amount = amounts[i + side * axes.size()];
      if (amount < 0) return unsupported("a negative amount; supported is Slice for that");
      op.axes[to + side] = static_cast<int>(std::min<std::int64_t>(amount, 1 << 21));
    }
  }
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

constexpr HandlerEntry kHandlers[] = {
    {"Reshape", reshape},
    {"Flatten", flatten},
    {"Squeeze", squeeze},
    {"Unsqueeze", unsqueeze},
    {"Transpose", transpose},
    {"DepthToSpace", depth_space},
    {"SpaceToDepth", depth_space},
    {"Concat", concat},
    {"Slice", slice},
    {"Split", split},
    {"Gather", gather},
    {"Pad", pad},
};

}  // namespace

std::span<const HandlerEntry> movement_handlers() { return kHandlers; }

}  // namespace wayside::optimizer::onnx_import
