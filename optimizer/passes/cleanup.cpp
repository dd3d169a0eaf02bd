// SPDX-License-Identifier: Apache-2.0
// Dead code and constants.
#include <algorithm>
#include <utility>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {

std::size_t remove_dead(ir::Graph& graph) {
  std::vector<bool> needed(graph.tensors.size());
  for (const auto id : graph.outputs) needed[id] = true;
  for (auto op = graph.ops.rbegin(); op != graph.ops.rend(); ++op) {
    if (!needed[op->output]) continue;
    for (const auto id : op->inputs) needed[id] = true;
  }
  const std::size_t before = graph.ops.size();
  std::erase_if(graph.ops, [&](const ir::Op& op) { return !needed[op.output]; });
  for (const auto id : graph.inputs) needed[id] = true;
  std::vector<ir::TensorId> renumbered(graph.tensors.size());
  std::vector<ir::Tensor> tensors;
  for (ir::TensorId id = 0; id < graph.tensors.size(); ++id) {
    if (!needed[id]) continue;
    renumbered[id] = tensors.size();
    tensors.push_back(std::move(graph.tensors[id]));
  }
  graph.tensors = std::move(tensors);
  const auto update = [&](ir::TensorId& id) { id = renumbered[id]; };
  for (auto& op : graph.ops) {
    std::ranges::for_each(op.inputs, update);
    update(op.output);
  }
  std::ranges::for_each(graph.inputs, update);
  std::ranges::for_each(graph.outputs, update);
  return before - graph.ops.size();
}

std::size_t fold_constants(ir::Graph& graph, const Evaluate& evaluate) {
  std::size_t folded = 0;
  for (const auto& op : graph.ops) {
    const bool constant = std::ranges::all_of(op.inputs, [&](auto id) { return !graph.tensors[id].constant.empty(); });
    if (!constant) continue;
    ir::Graph alone;
    ir::Op copy = op;
    for (auto& id : copy.inputs) {
      alone.tensors.push_back(graph.tensors[id]);
      id = alone.tensors.size() - 1;
    }
    alone.tensors.push_back(graph.tensors[op.output]);
    copy.output = alone.tensors.size() - 1;
    alone.outputs = {copy.output};
    alone.ops.push_back(std::move(copy));
    graph.tensors[op.output].constant = evaluate(alone)[0];
    ++folded;
  }
  std::erase_if(graph.ops, [&](const ir::Op& op) { return !graph.tensors[op.output].constant.empty(); });
  return folded;
}

void simplify(ir::Graph& graph, const Evaluate& evaluate) {
  constexpr int kMostRounds = 16;
  for (int round = 0; round < kMostRounds; ++round) {
    std::size_t changes = fold_constants(graph, evaluate);
    changes += fuse(graph);
    changes += fold_pads(graph);
    changes += simplify_movement(graph);
    remove_dead(graph);
    if (changes == 0 && affine_to_depthwise(graph) == 0) return;
  }
}

}  // namespace wayside::optimizer::passes
