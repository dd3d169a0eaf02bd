// SPDX-License-Identifier: Apache-2.0
// Forms that .tflite has.
#include <algorithm>
#include <format>
#include <limits>
#include <numeric>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

using ir::Op;
using ir::OpKind;

bool windowed(OpKind kind) {
  return kind == OpKind::conv || kind == OpKind::depthwise_conv || kind == OpKind::max_pool ||
         kind == OpKind::average_pool;
}

/// Padding after the last px that a window reads is dropped (a stride may leave it unread).
void tighten(Op& op, const ir::Shape& in, const ir::Shape& out) {
  ir::SlidingWindow& w = op.window;
  const int reach_y = (out[1] - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
  const int reach_x = (out[2] - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  w.bottom = std::max(0, reach_y - in[1] - w.top);
  w.right = std::max(0, reach_x - in[2] - w.left);
}

class Former {
 public:
  explicit Former(ir::Graph& graph) : graph_(graph) {}

  base::Result<void> run() {
    std::vector<Op> ops = std::move(graph_.ops);
    graph_.ops.clear();
    for (Op& op : ops) {
      if (windowed(op.kind)) WAYSIDE_CHECK(window(op));
      if (op.kind == OpKind::softmax && op.axes[0] + 1 != rank(op)) {
        softmax(op);
        continue;
      }
      graph_.ops.push_back(std::move(op));
    }
    return {};
  }

 private:
  const ir::Shape& shape(ir::TensorId id) const { return graph_.tensors[id].shape; }
  int rank(const Op& op) const { return static_cast<int>(shape(op.output).size()); }

  ir::TensorId add_tensor(ir::TensorId like, const char* suffix, ir::Shape shape) {
    graph_.tensors.push_back({.name = graph_.tensors[like].name + suffix, .shape = std::move(shape)});
    return graph_.tensors.size() - 1;
  }

  base::Result<void> window(Op& op) {
    const ir::Shape in = shape(op.inputs[0]);
    tighten(op, in, shape(op.output));
    ir::SlidingWindow& w = op.window;
    if (ir::is_valid(w) || ir::is_same(w, in[1], in[2])) return {};
    if (op.kind == OpKind::average_pool) {
      return base::fail(base::Code::unsupported,
                        std::format("average_pool \"{}\": padding {},{},{},{} is not SAME; pad before the pool",
                                    graph_.tensors[op.output].name, w.top, w.left, w.bottom, w.right));
    }
    Op pad{.kind = OpKind::pad, .inputs = op.inputs, .axes = {0, 0, w.top, w.bottom, w.left, w.right, 0, 0}};
    if (op.kind == OpKind::max_pool)
      pad.alpha = std::numeric_limits<float>::lowest();  // becomes the least value there is
    pad.output =
        add_tensor(op.inputs[0], "/padded", {in[0], in[1] + w.top + w.bottom, in[2] + w.left + w.right, in[3]});
    op.inputs = {pad.output};
    w.top = w.left = w.bottom = w.right = 0;
    graph_.ops.push_back(std::move(pad));
    return {};
  }

  void softmax(const Op& op) {
    std::vector<int> order(shape(op.output).size());
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[static_cast<std::size_t>(op.axes[0])], order.back());
    ir::Shape moved;
    for (const int axis : order) moved.push_back(shape(op.output)[static_cast<std::size_t>(axis)]);
    const auto before = add_tensor(op.output, "/before", moved), after = add_tensor(op.output, "/after", moved);
    graph_.ops.push_back({.kind = OpKind::transpose, .inputs = op.inputs, .output = before, .axes = order});
    graph_.ops.push_back({.kind = OpKind::softmax, .inputs = {before}, .output = after, .axes = {rank(op) - 1}});
    graph_.ops.push_back({.kind = OpKind::transpose, .inputs = {after}, .output = op.output, .axes = order});
  }

  ir::Graph& graph_;
};

}  // namespace

base::Result<void> to_tflite_forms(ir::Graph& graph) {
  replace_divisions(graph);
  return Former(graph).run();
}

}  // namespace wayside::optimizer::passes
