// SPDX-License-Identifier: Apache-2.0
// Division, square roots and sums in terms of what INT8 has: products, means and the reciprocal of a square root.
#include <algorithm>
#include <utility>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

using ir::Op;
using ir::OpKind;
using ir::TensorId;

class Divider {
 public:
  explicit Divider(ir::Graph& graph) : graph_(graph), producers_(ir::producers(graph)), source_(graph.ops) {}

  std::size_t run() {
    std::size_t count = 0;
    graph_.ops.clear();
    for (const Op& op : source_) {
      const bool replaced = (op.kind == OpKind::div && divide(op)) || (op.kind == OpKind::sum && sum(op)) ||
                            (op.kind == OpKind::sqrt && op.alpha >= 0 && root(op));
      if (!replaced) graph_.ops.push_back(op);
      count += replaced ? 1 : 0;
    }
    remove_dead(graph_);
    return count;
  }

 private:
  TensorId add_tensor(TensorId like, const char* suffix, ir::Shape shape, std::vector<float> constant = {}) {
    graph_.tensors.push_back({graph_.tensors[like].name + suffix, std::move(shape), std::move(constant)});
    return graph_.tensors.size() - 1;
  }

  TensorId reciprocal_root(TensorId of, TensorId like) {
    const TensorId out = add_tensor(like, "/rsqrt", graph_.tensors[of].shape);
    graph_.ops.push_back({.kind = OpKind::sqrt, .inputs = {of}, .output = out, .alpha = -1});
    return out;
  }

  /// a / b
  bool divide(const Op& op) {
    const TensorId b = op.inputs[1];
    Op product = op;
    product.kind = OpKind::mul;
    if (const auto& constant = graph_.tensors[b].constant; !constant.empty()) {
      if (std::ranges::contains(constant, 0.0F)) return false;
      std::vector<float> reciprocal;
      for (const float value : constant) reciprocal.push_back(1 / value);
      product.inputs[1] = add_tensor(op.output, "/reciprocal", graph_.tensors[b].shape, std::move(reciprocal));
    } else if (const Op* maker = producer(b); maker != nullptr && maker->kind == OpKind::sqrt && maker->alpha >= 0) {
      product.inputs[1] = reciprocal_root(maker->inputs[0], op.output);
    } else if (is_never_negative(b, kMostDepth)) {
      const TensorId r = reciprocal_root(b, op.output);
      product.inputs[1] = add_tensor(op.output, "/reciprocal", graph_.tensors[b].shape);
      graph_.ops.push_back({.kind = OpKind::mul, .inputs = {r, r}, .output = product.inputs[1]});
    } else {
      return false;
    }
    graph_.ops.push_back(std::move(product));
    return true;
  }

  /// mean * count: the same steps of INT8, so that nothing is lost.
  bool sum(const Op& op) {
    const ir::Shape& shape = graph_.tensors[op.output].shape;
    const auto elements = static_cast<float>(ir::element_count(graph_.tensors[op.inputs[0]].shape)),
               sums = static_cast<float>(ir::element_count(shape));
    Op mean = op;
    mean.kind = OpKind::mean;
    mean.output = add_tensor(op.output, "/mean", shape);
    const TensorId count = add_tensor(op.output, "/count", ir::Shape(shape.size(), 1), {elements / sums});
    const TensorId average = mean.output;
    graph_.ops.push_back(std::move(mean));
    graph_.ops.push_back({.kind = OpKind::mul, .inputs = {average, count}, .output = op.output});
    return true;
  }

  /// sqrt(x) = x / sqrt(x), also for 0, whose reciprocal root is finite in INT8. Left where only divisions read it.
  bool root(const Op& op) {
    const auto needs_it = [&](const Op& reader) {
      return std::ranges::contains(reader.inputs, op.output) &&
             (reader.kind != OpKind::div || reader.inputs[0] == op.output);
    };
    if (std::ranges::none_of(source_, needs_it) && !std::ranges::contains(graph_.outputs, op.output)) return false;
    const TensorId r = reciprocal_root(op.inputs[0], op.output);
    graph_.ops.push_back({.kind = OpKind::mul, .inputs = {op.inputs[0], r}, .output = op.output});
    return true;
  }

  const Op* producer(TensorId id) const {
    return id >= producers_.size() || producers_[id] == ir::kNoOp ? nullptr : &source_[producers_[id]];
  }

  /// Proven by the operators before it; false: not known.
  bool is_never_negative(TensorId id, int depth) const {
    const auto& constant = graph_.tensors[id].constant;
    if (!constant.empty()) return std::ranges::all_of(constant, [](float value) { return value >= 0; });
    const Op* op = producer(id);
    if (op == nullptr || depth == 0) return false;
    if (op->activation != ir::Activation::none) return true;
    const auto inputs = [&] {
      return std::ranges::all_of(op->inputs, [&](TensorId in) { return is_never_negative(in, depth - 1); });
    };
    switch (op->kind) {
      case OpKind::relu:
      case OpKind::logistic:
      case OpKind::softmax:
      case OpKind::exp:
      case OpKind::sqrt:
      case OpKind::abs: return true;
      case OpKind::clip: return op->alpha >= 0 || inputs();
      case OpKind::mul: return op->inputs[0] == op->inputs[1] || inputs();
      case OpKind::pad: return op->alpha >= 0 && inputs();
      case OpKind::add:
      case OpKind::div:
      case OpKind::mean:
      case OpKind::sum:
      case OpKind::max_pool:
      case OpKind::average_pool:
      case OpKind::resize_nearest:
      case OpKind::resize_bilinear:
      case OpKind::concat:
      case OpKind::reshape:
      case OpKind::transpose:
      case OpKind::slice: return inputs();
      default: return false;
    }
  }

  static constexpr int kMostDepth = 16;
  ir::Graph& graph_;
  std::vector<std::size_t> producers_;
  std::vector<Op> source_;
};

}  // namespace

std::size_t replace_divisions(ir::Graph& graph) { return Divider(graph).run(); }

}  // namespace wayside::optimizer::passes
