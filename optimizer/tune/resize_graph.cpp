// SPDX-License-Identifier: Apache-2.0
// Shapes derived anew, operator by operator.
#include "optimizer/tune/resize_graph.h"

#include <algorithm>
#include <format>
#include <utility>

#include "optimizer/ir/assembler.h"
#include "optimizer/passes/passes.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::Shape;

/// What reshape, slice and resize cannot derive. Each returns an empty shape where the operator has no such form.
Shape resized(const Shape& old_in, const Shape& old_out, const Shape& in) {
  Shape out = old_out;
  for (const std::size_t axis : {1, 2}) {
    if (in[axis] * old_out[axis] % old_in[axis] != 0) return {};
    out[axis] = in[axis] * old_out[axis] / old_in[axis];
  }
  return out;
}

/// The only dimension besides those of 1 and the last that can have held rows and columns.
Shape reshaped(const Shape& old_out, const Shape& in) {
  std::vector<std::size_t> free;
  for (std::size_t axis = 0; axis + 1 < old_out.size(); ++axis) {
    if (old_out[axis] != 1) free.push_back(axis);
  }
  if (free.size() != 1) return {};
  Shape out = old_out;
  out[free[0]] = 1;
  const std::size_t rest = ir::element_count(out), all = ir::element_count(in);
  if (all % rest != 0) return {};
  out[free[0]] = static_cast<int>(all / rest);
  return out;
}

/// Of an axis that changed, all is taken, perhaps in steps.
Shape sliced(const Op& op, const Shape& old_in, const Shape& old_out, const Shape& in) {
  Shape out = old_out;
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    if (in[axis] == old_in[axis]) continue;
    const int first = op.axes[axis], step = op.steps[axis];
    if (step < 1 || first >= step || first + old_out[axis] * step < old_in[axis]) return {};
    out[axis] = (in[axis] - first + step - 1) / step;
  }
  return out;
}

Shape wanted_shape(const Op& op, const Shape& old_in, const Shape& old_out, const Shape& in) {
  if (in == old_in) return old_out;
  switch (op.kind) {
    case OpKind::resize_nearest:
    case OpKind::resize_bilinear: return resized(old_in, old_out, in);
    case OpKind::reshape: return reshaped(old_out, in);
    case OpKind::slice: return sliced(op, old_in, old_out, in);
    default: return old_out;
  }
}

/// A pool over the whole picture is one over the whole new picture.
void fit_window(Op& op, const Shape& old_in, const Shape& in) {
  if (op.kind != OpKind::average_pool && op.kind != OpKind::max_pool) return;
  ir::SlidingWindow& w = op.window;
  if (!ir::is_valid(w) || w.kernel_h != old_in[1] || w.kernel_w != old_in[2]) return;
  w.kernel_h = in[1];
  w.kernel_w = in[2];
}

/// TFLite's SAME padding depends on the size.
void fit_padding(Op& op, const Shape& old_in, const Shape& in) {
  ir::SlidingWindow& w = op.window;
  if (old_in.size() != 4 || ir::is_valid(w) || !ir::is_same(w, old_in[1], old_in[2])) return;
  const auto rows = ir::same_padding(in[1], w.kernel_h, w.stride_h, w.dilation_h);
  const auto columns = ir::same_padding(in[2], w.kernel_w, w.stride_w, w.dilation_w);
  w.top = rows.before, w.bottom = rows.after;
  w.left = columns.before, w.right = columns.after;
}

/// For each tensor whether it is computed from `from`.
std::vector<bool> depends_on(const ir::Graph& graph, ir::TensorId from) {
  std::vector<bool> out(graph.tensors.size());
  out[from] = true;
  for (const Op& op : graph.ops)
    out[op.output] = out[op.output] || std::ranges::any_of(op.inputs, [&](ir::TensorId id) { return out[id]; });
  return out;
}

}  // namespace

Result<ir::Graph> with_picture_size(const ir::Graph& graph, PictureSize size) {
  if (graph.inputs.size() != 1 || graph.tensors[graph.inputs[0]].shape.size() != 4)
    return fail(Code::invalid_argument, "another picture size: the network must have one picture [N,H,W,C] as input");
  ir::Graph out = graph;
  out.tensors[out.inputs[0]].shape[1] = size.rows;
  out.tensors[out.inputs[0]].shape[2] = size.columns;
  for (Op& op : out.ops) {
    const Shape& old_in = graph.tensors[op.inputs[0]].shape;
    fit_window(op, old_in, out.tensors[op.inputs[0]].shape);
    fit_padding(op, old_in, out.tensors[op.inputs[0]].shape);
    std::vector<Shape> in;
    for (const auto id : op.inputs) in.push_back(out.tensors[id].shape);
    const Shape wanted = wanted_shape(op, old_in, graph.tensors[op.output].shape, in[0]);
    auto shape =
        wanted.empty() ? fail(Code::unsupported, "depends on the picture's size") : ir::output_shape(op, in, wanted);
    if (!shape) {
      return fail(Code::unsupported,
                  std::format("a picture of {}x{} does not fit through {} \"{}\": {}", size.columns, size.rows,
                              ir::to_string(op.kind), graph.tensors[op.output].name, shape.error().message));
    }
    out.tensors[op.output].shape = *std::move(shape);
  }
  return out;
}

std::vector<Block> removable_blocks(const ir::Graph& graph) {
  std::vector<Block> out;
  for (const Op& op : graph.ops) {
    if (std::ranges::contains(graph.outputs, op.output)) continue;
    const auto& shape = graph.tensors[op.output].shape;
    const auto same = [&](ir::TensorId id) {
      return graph.tensors[id].constant.empty() && graph.tensors[id].shape == shape;
    };
    if (has_weights(op.kind) && same(op.inputs[0])) {
      out.push_back({.in = op.inputs[0], .out = op.output});
    } else if (op.kind == OpKind::add && same(op.inputs[0]) && same(op.inputs[1])) {
      // The shortcut is the side that the other is computed from.
      for (const std::size_t side : {0, 1}) {
        if (depends_on(graph, op.inputs[side])[op.inputs[1 - side]])
          out.push_back({.in = op.inputs[side], .out = op.output});
      }
    }
  }
  return out;
}

ir::Graph without_block(const ir::Graph& graph, const Block& block) {
  ir::Graph out = graph;
  for (Op& op : out.ops) std::ranges::replace(op.inputs, block.out, block.in);
  passes::remove_dead(out);
  return out;
}

}  // namespace wayside::optimizer
