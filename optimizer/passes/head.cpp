// SPDX-License-Identifier: Apache-2.0
// Cutting off what only joins tensors at the end of a graph.
#include <algorithm>
#include <map>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

bool joins(ir::OpKind kind) { return moves_only(kind) || kind == ir::OpKind::concat; }

/// The operators that lie between the last arithmetic and the outputs; none when there is no concat among them.
std::vector<bool> tail_ops(const ir::Graph& graph) {
  std::vector<bool> tail(graph.ops.size()), open(graph.tensors.size(), true);
  bool concat = false;
  for (std::size_t i = graph.ops.size(); i-- > 0;) {
    const ir::Op& op = graph.ops[i];
    tail[i] = joins(op.kind) && open[op.output];
    concat = concat || (tail[i] && op.kind == ir::OpKind::concat);
    if (tail[i]) continue;
    for (const auto id : op.inputs) open[id] = false;  // somebody calculates with it
  }
  if (!concat) tail.assign(graph.ops.size(), false);
  return tail;
}

}  // namespace

SplitHead split_head(const ir::Graph& graph) {
  const auto is_tail = tail_ops(graph);
  SplitHead split{.body = graph, .tail = graph};
  split.body.ops.clear();
  split.tail.ops.clear();
  std::vector<bool> by_tail(graph.tensors.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    (is_tail[i] ? split.tail : split.body).ops.push_back(graph.ops[i]);
    if (is_tail[i]) by_tail[graph.ops[i].output] = true;
  }
  std::vector<ir::TensorId> border;
  const auto add = [&](ir::TensorId id) {
    const bool computed = graph.tensors[id].constant.empty() && !by_tail[id];
    if (computed && !std::ranges::contains(border, id)) border.push_back(id);
  };
  for (const auto& op : split.tail.ops) std::ranges::for_each(op.inputs, add);
  std::ranges::for_each(graph.outputs, add);
  split.body.outputs = border;
  split.tail.inputs = border;
  remove_dead(split.body);
  remove_dead(split.tail);
  return split;
}

}  // namespace wayside::optimizer::passes
