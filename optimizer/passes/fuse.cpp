// SPDX-License-Identifier: Apache-2.0
// Constants and activations into the layers beside them.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "optimizer/passes/affine.h"
#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

using ir::Activation;
using ir::Op;
using ir::OpKind;

/// Index of the output channel of each weight.
std::size_t channel_of(const Op& op, std::size_t index) {
  return op.kind == OpKind::depthwise_conv ? index % op.bias.size() : index / (op.weight.size() / op.bias.size());
}

void scale_outputs(Op& layer, const Affine& affine) {
  for (std::size_t i = 0; i < layer.weight.size(); ++i) layer.weight[i] *= affine.factor[channel_of(layer, i)];
  for (std::size_t o = 0; o < layer.bias.size(); ++o)
    layer.bias[o] = layer.bias[o] * affine.factor[o] + affine.offset[o];
}

/// The layer reads factor * x + offset: into weight and bias.
void scale_inputs(Op& layer, const Affine& affine) {
  const std::size_t inputs = affine.factor.size();
  const std::size_t multiplier = layer.kind == OpKind::depthwise_conv ? layer.bias.size() / inputs : 1;
  for (std::size_t i = 0; i < layer.weight.size(); ++i) {
    const std::size_t o = channel_of(layer, i);
    const std::size_t c = layer.kind == OpKind::depthwise_conv ? o / multiplier : i % inputs;
    layer.bias[o] += layer.weight[i] * affine.offset[c];
    layer.weight[i] *= affine.factor[c];
  }
}

std::optional<Activation> as_activation(const Op& op) {
  constexpr float kEndless = 1e30F;
  if (op.kind == OpKind::relu) return Activation::relu;
  if (op.kind != OpKind::clip || op.alpha != 0) return std::nullopt;
  if (op.beta == 6) return Activation::relu6;
  return op.beta > kEndless ? std::optional(Activation::relu) : std::nullopt;
}

bool takes_activation(OpKind kind) { return has_weights(kind) || (kind >= OpKind::add && kind <= OpKind::mul); }

class Fuser {
 public:
  explicit Fuser(ir::Graph& graph) : graph_(graph), producers_(ir::producers(graph)), uses_(ir::uses(graph)) {}

  std::size_t run() {
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
      if (into_producer(i)) ++count_;
    }
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
      if (before_layer(i)) ++count_;
    }
    remove_dead(graph_);
    return count_;
  }

 private:
  /// The operator that makes this tensor for nobody else; nullptr: none.
  Op* sole_producer(ir::TensorId id) {
    return producers_[id] == ir::kNoOp || uses_[id] != 1 ? nullptr : &graph_.ops[producers_[id]];
  }

  /// `producer` takes over the output of `op`; `op` is left without effect.
  void merge(Op& producer, Op& op) {
    producers_[op.output] = static_cast<std::size_t>(&producer - graph_.ops.data());
    uses_[producer.output] = 0;
    std::swap(producer.output, op.output);
    op.inputs.clear();
    op.kind = OpKind::concat;  // an operator without inputs, which remove_dead() drops
  }

  bool into_producer(std::size_t index) {
    Op& op = graph_.ops[index];
    if (op.inputs.empty()) return false;
    if (const auto activation = as_activation(op)) {
      Op* producer = sole_producer(op.inputs[0]);
      if (producer == nullptr || !takes_activation(producer->kind) || producer->activation != Activation::none)
        return false;
      producer->activation = *activation;
      merge(*producer, op);
      return true;
    }
    const auto step = as_affine(graph_, op);
    if (!step) return false;
    Op* layer = sole_producer(op.inputs[step->input]);
    if (layer == nullptr || !has_weights(layer->kind) || layer->activation != Activation::none || !layer->norm.empty())
      return false;
    scale_outputs(*layer, step->affine);
    layer->activation = op.activation;
    merge(*layer, op);
    return true;
  }

  bool before_layer(std::size_t index) {
    Op& layer = graph_.ops[index];
    if (!has_weights(layer.kind) || !layer.norm.empty()) return false;
    const Op* before = sole_producer(layer.inputs[0]);
    const bool plain = before != nullptr && before->activation == Activation::none;
    const auto step = plain ? as_affine(graph_, *before) : std::nullopt;
    if (!step) return false;
    const bool offset = std::ranges::any_of(step->affine.offset, [](float value) { return value != 0; });
    if (offset && layer.kind != OpKind::fully_connected && !ir::is_valid(layer.window)) return false;
    scale_inputs(layer, step->affine);
    layer.inputs[0] = before->inputs[step->input];
    return true;
  }

  ir::Graph& graph_;
  std::vector<std::size_t> producers_, uses_;
  std::size_t count_ = 0;
};

}  // namespace

std::size_t fuse(ir::Graph& graph) { return Fuser(graph).run(); }

std::size_t fold_pads(ir::Graph& graph) {
  const auto producers = ir::producers(graph);
  std::size_t count = 0;
  for (Op& layer : graph.ops) {
    if (layer.kind != OpKind::conv && layer.kind != OpKind::depthwise_conv) continue;
    const std::size_t index = producers[layer.inputs[0]];
    if (index == ir::kNoOp) continue;
    const Op& pad = graph.ops[index];
    const bool picture = pad.kind == OpKind::pad && pad.alpha == 0 && pad.axes.size() == 8 && pad.axes[0] == 0 &&
                         pad.axes[1] == 0 && pad.axes[6] == 0 && pad.axes[7] == 0;
    if (!picture) continue;
    layer.window.top += pad.axes[2];
    layer.window.bottom += pad.axes[3];
    layer.window.left += pad.axes[4];
    layer.window.right += pad.axes[5];
    layer.inputs[0] = pad.inputs[0];
    ++count;
  }
  remove_dead(graph);
  return count;
}

}  // namespace wayside::optimizer::passes
