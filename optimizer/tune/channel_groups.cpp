// SPDX-License-Identifier: Apache-2.0
// From labels to groups; masking and removal.
#include "optimizer/tune/channel_groups.h"

#include <algorithm>
#include <format>
#include <map>
#include <utility>

#include "optimizer/ir/assembler.h"
#include "optimizer/passes/passes.h"
#include "optimizer/tune/channel_trace.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;
using Kept = std::vector<std::size_t>;  // indices that stay, ascending

/// Groups that have a layer in common get the same number.
void number_sets(ChannelGroups& groups, std::size_t op_count) {
  UnionFind layers;
  for (std::size_t i = 0; i < op_count; ++i) layers.add();
  for (const auto& group : groups.groups) {
    for (const auto& member : group.members) layers.join(group.members[0].op, member.op);
  }
  std::map<std::size_t, std::size_t> numbers;
  for (auto& group : groups.groups)
    group.set = numbers.try_emplace(layers.find(group.members[0].op), numbers.size()).first->second;
  groups.set_count = numbers.size();
}

class Remover {
 public:
  Remover(const ir::Graph& graph, const ChannelGroups& groups, const std::vector<bool>& removed)
      : graph_(graph), groups_(groups), removed_(removed), out_(graph) {}

  base::Result<ir::Graph> run() {
    for (std::size_t id = 0; id < graph_.tensors.size(); ++id) {
      const int axis = groups_.tensors[id].axis;
      if (axis < 0) continue;
      const auto count = static_cast<int>(kept(id).size());
      if (count == 0) {
        return base::fail(
            base::Code::invalid_argument,
            std::format("pruning would leave \"{}\" without a channel; keep more", graph_.tensors[id].name));
      }
      out_.tensors[id].shape[static_cast<std::size_t>(axis)] = count;
    }
    for (std::size_t i = 0; i < out_.ops.size(); ++i) {
      shrink(i);
      std::vector<ir::Shape> in;
      for (const auto id : out_.ops[i].inputs) in.push_back(out_.tensors[id].shape);
      const auto& wanted = out_.tensors[out_.ops[i].output].shape;
      WAYSIDE_TRY(const ir::Shape got, ir::output_shape(out_.ops[i], in, wanted));
      if (got != wanted) {
        return base::fail(base::Code::bad_state, std::format("pruning: \"{}\" would be {} instead of {}",
                                                             graph_.tensors[graph_.ops[i].output].name,
                                                             ir::to_string(got), ir::to_string(wanted)));
      }
    }
    passes::remove_dead(out_);
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool stays(std::size_t group) const { return group == ChannelGroups::kFixed || !removed_[group]; }
  [[nodiscard]] Kept kept(ir::TensorId id) const {
    Kept out;
    const auto& group = groups_.tensors[id].group;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (stays(group[i])) out.push_back(i);
    }
    return out;
  }
  /// Of the last axis, whether or not that is where the channels lie.
  [[nodiscard]] Kept kept_last(ir::TensorId id) const {
    const auto& shape = graph_.tensors[id].shape;
    if (groups_.tensors[id].axis + 1 == static_cast<int>(shape.size())) return kept(id);
    Kept all(static_cast<std::size_t>(shape.back()));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    return all;
  }

  static void pick(std::vector<float>& values, const Kept& kept) {
    if (values.empty()) return;
    std::vector<float> out;
    for (const std::size_t i : kept) out.push_back(values[i]);
    values = std::move(out);
  }

  void shrink_layer(Op& op, const Op& old) {
    const Kept out = kept_last(old.output), in = kept_last(old.inputs[0]);
    const std::size_t channels = old.bias.size(),
                      inputs = static_cast<std::size_t>(graph_.tensors[old.inputs[0]].shape.back());
    const auto taps = static_cast<std::size_t>(old.window.kernel_h * old.window.kernel_w);
    std::vector<float> weight;
    if (old.kind == OpKind::depthwise_conv) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        for (const std::size_t o : out) weight.push_back(old.weight[tap * channels + o]);
      }
    } else {
      const std::size_t per_output = old.weight.size() / channels;
      for (const std::size_t o : out) {
        for (std::size_t first = 0; first < per_output; first += inputs) {
          for (const std::size_t c : in) weight.push_back(old.weight[o * per_output + first + c]);
        }
      }
    }
    op.weight = std::move(weight);
    for (auto* values : {&op.bias, &op.norm.gamma, &op.norm.beta, &op.norm.mean, &op.norm.variance}) pick(*values, out);
  }

  /// A constant operand loses the channels that the result loses; in a copy, as others may read it too.
  void shrink_constant(Op& op, std::size_t input, const Op& old) {
    const auto& constant = graph_.tensors[old.inputs[input]];
    const int axis = op.kind == OpKind::prelu ? 0 : groups_.tensors[old.output].axis;
    if (constant.constant.empty() || groups_.tensors[old.output].axis < 0) return;
    const auto channels = static_cast<std::size_t>(constant.shape[static_cast<std::size_t>(axis)]);
    if (channels == 1) return;
    const Kept out = kept(old.output);
    std::size_t inner = 1;
    for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < constant.shape.size(); ++i)
      inner *= static_cast<std::size_t>(constant.shape[i]);
    ir::Tensor copy{.name = constant.name, .shape = constant.shape};
    copy.shape[static_cast<std::size_t>(axis)] = static_cast<int>(out.size());
    for (std::size_t first = 0; first < constant.constant.size(); first += channels * inner) {
      for (const std::size_t c : out) {
        for (std::size_t i = 0; i < inner; ++i) copy.constant.push_back(constant.constant[first + c * inner + i]);
      }
    }
    op.inputs[input] = out_.tensors.size();
    out_.tensors.push_back(std::move(copy));
  }

  void shrink(std::size_t index) {
    const Op& old = graph_.ops[index];
    Op& op = out_.ops[index];
    if (has_weights(op.kind)) return shrink_layer(op, old);
    if (op.kind == OpKind::slice) {
      const auto& in = groups_.tensors[old.inputs[0]];
      if (in.axis < 0) return;
      const auto axis = static_cast<std::size_t>(in.axis);
      if (old.steps[axis] != 1) return;  // whole runs go, see ChannelTracer::slice
      const auto first = in.group.begin();
      op.axes[axis] = static_cast<int>(
          std::count_if(first, first + old.axes[axis], [this](std::size_t group) { return stays(group); }));
    }
    if (op.kind == OpKind::concat) return;  // constants among its inputs are fixed
    for (std::size_t i = 0; i < op.inputs.size(); ++i) shrink_constant(op, i, old);
  }

  const ir::Graph& graph_;
  const ChannelGroups& groups_;
  const std::vector<bool>& removed_;
  ir::Graph out_;
};

}  // namespace

ChannelGroups find_channel_groups(const ir::Graph& graph) {
  ChannelTracer tracer(graph);
  auto& ties = tracer.ties();
  ChannelGroups out;
  std::map<std::size_t, std::size_t> numbers;
  const std::size_t fixed = ties.find(kFixedLabel);
  for (Label label = 1; label < tracer.origins().size(); ++label) {
    const std::size_t root = ties.find(label);
    if (root == fixed) continue;
    const auto [entry, fresh] = numbers.try_emplace(root, out.groups.size());
    if (fresh) out.groups.emplace_back();
    out.groups[entry->second].members.push_back({tracer.origins()[label].op, tracer.origins()[label].channel});
  }
  number_sets(out, graph.ops.size());
  for (ir::TensorId id = 0; id < graph.tensors.size(); ++id) {
    const Trace& trace = tracer.trace(id);
    auto& placement = out.tensors.emplace_back(ChannelGroups::Placement{.axis = trace.axis, .group = {}});
    for (const Label label : trace.label) {
      const auto found = numbers.find(ties.find(label));
      placement.group.push_back(found == numbers.end() ? ChannelGroups::kFixed : found->second);
    }
  }
  return out;
}

void mask_channels(ir::Graph& graph, const ChannelGroups& groups, const std::vector<bool>& removed) {
  for (std::size_t g = 0; g < groups.groups.size(); ++g) {
    if (!removed[g]) continue;
    for (const auto& [index, channel] : groups.groups[g].members) {
      Op& op = graph.ops[index];
      const std::size_t channels = op.bias.size(), per_channel = op.weight.size() / channels;
      for (std::size_t i = 0; i < per_channel; ++i)
        op.weight[op.kind == OpKind::depthwise_conv ? i * channels + channel : channel * per_channel + i] = 0;
      op.bias[channel] = 0;
      if (!op.norm.empty()) op.norm.gamma[channel] = op.norm.beta[channel] = 0;
    }
  }
}

base::Result<ir::Graph> remove_channels(const ir::Graph& graph, const ChannelGroups& groups,
                                        const std::vector<bool>& removed) {
  return Remover(graph, groups, removed).run();
}

KeptChannels kept_channels(const ir::Graph& graph, const ChannelGroups& groups, const std::vector<bool>& removed) {
  KeptChannels out;
  for (ir::TensorId id = 0; id < graph.tensors.size(); ++id) {
    const auto& [axis, group] = groups.tensors[id];
    if (axis < 0 || axis + 1 != static_cast<int>(graph.tensors[id].shape.size())) continue;
    Kept kept;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (group[i] == ChannelGroups::kFixed || !removed[group[i]]) kept.push_back(i);
    }
    if (kept.size() < group.size()) out.emplace(graph.tensors[id].name, std::move(kept));
  }
  return out;
}

KeptChannels joined(KeptChannels first, const KeptChannels& second) {
  for (const auto& [name, kept] : second) {
    const auto found = first.find(name);
    if (found == first.end()) {
      first.emplace(name, kept);
      continue;
    }
    Kept in_first;
    for (const std::size_t channel : kept) in_first.push_back(found->second[channel]);
    found->second = std::move(in_first);
  }
  return first;
}

}  // namespace wayside::optimizer
