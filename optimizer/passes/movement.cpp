// SPDX-License-Identifier: Apache-2.0
// A chain of moving operators is a table "element i of the result is element table[i] of the source": the simplest
// operator with the same table replaces it.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

using ir::Op;
using ir::OpKind;
using ir::Shape;
using ir::TensorId;
using Table = std::vector<std::int32_t>;

/// Tables of larger tensors are not made.
constexpr std::size_t kMostElements = std::size_t{1} << 24;

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> out(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) out[i - 1] = out[i] * shape[i];
  return out;
}

/// table[i] = first + sum over axes of index * stride, for all indices of `shape` in row order.
Table walk(const Shape& shape, std::int64_t first, const std::vector<std::int64_t>& strides) {
  Table out{static_cast<std::int32_t>(first)};
  out.reserve(ir::element_count(shape));
  Table next;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    next.clear();
    for (const std::int32_t base : out) {
      for (int i = 0; i < shape[axis]; ++i) next.push_back(static_cast<std::int32_t>(base + i * strides[axis]));
    }
    std::swap(out, next);
  }
  return out;
}

Table table_of(const Op& op, const Shape& in, const Shape& out) {
  const auto strides = strides_of(in);
  std::vector<std::int64_t> by_axis(out.size());
  std::int64_t first = 0;
  if (op.kind == OpKind::transpose) {
    for (std::size_t i = 0; i < out.size(); ++i) by_axis[i] = strides[static_cast<std::size_t>(op.axes[i])];
  } else {
    for (std::size_t i = 0; i < out.size(); ++i) {
      by_axis[i] = strides[i] * op.steps[i];
      first += strides[i] * op.axes[i];
    }
  }
  return walk(out, first, by_axis);
}

/// The slice of `in` that gives this table, if there is one; `size` receives its shape.
std::optional<Op> as_slice(const Table& table, const Shape& in, Shape& size) {
  const auto strides = strides_of(in);
  Op op{.kind = OpKind::slice, .axes = {}, .steps = {}};
  size.clear();
  std::vector<std::int64_t> by_axis;
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    std::vector<bool> seen(static_cast<std::size_t>(in[axis]));
    for (const std::int32_t at : table) seen[static_cast<std::size_t>(at / strides[axis] % in[axis])] = true;
    const auto first = std::ranges::find(seen, true) - seen.begin();
    const auto second = std::find(seen.begin() + first + 1, seen.end(), true) - seen.begin();
    op.axes.push_back(static_cast<int>(first));
    op.steps.push_back(second < in[axis] ? static_cast<int>(second - first) : 1);
    size.push_back(static_cast<int>(std::ranges::count(seen, true)));
    by_axis.push_back(strides[axis] * op.steps.back());
  }
  if (ir::element_count(size) != table.size() || walk(size, table[0], by_axis) != table) return std::nullopt;
  return op;
}

/// Neighbouring axes of ones aside, every permutation is tried (at most 24).
std::optional<Op> as_transpose(const Table& table, const Shape& in, Shape& shape) {
  if (in.size() > 4 || ir::element_count(in) != table.size()) return std::nullopt;
  const auto strides = strides_of(in);
  std::vector<int> order(in.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    shape.clear();
    std::vector<std::int64_t> by_axis;
    for (const int axis : order) {
      shape.push_back(in[static_cast<std::size_t>(axis)]);
      by_axis.push_back(strides[static_cast<std::size_t>(axis)]);
    }
    if (walk(shape, 0, by_axis) == table) return Op{.kind = OpKind::transpose, .axes = order};
  } while (std::ranges::next_permutation(order).found);
  return std::nullopt;
}

class Mover {
 public:
  explicit Mover(ir::Graph& graph) : graph_(graph) {}

  std::size_t run() {
    std::size_t saved = sink_into_concats();
    producers_ = ir::producers(graph_);
    const auto consumers = readers();
    std::vector<Op> result;
    for (Op& op : graph_.ops) {
      const bool end = moves_only(op.kind) &&
                       !std::ranges::all_of(consumers[op.output], [](OpKind kind) { return moves_only(kind); });
      if (!end || !replace(op, result, saved)) result.push_back(op);
    }
    graph_.ops = std::move(result);
    drop_empty_reshapes();
    remove_dead(graph_);
    return saved;
  }

 private:
  const Shape& shape(TensorId id) const { return graph_.tensors[id].shape; }

  /// Kinds of the operators that read each tensor; a graph output counts as a concat.
  std::vector<std::vector<OpKind>> readers() const {
    std::vector<std::vector<OpKind>> out(graph_.tensors.size());
    for (const Op& op : graph_.ops) {
      for (const TensorId id : op.inputs) out[id].push_back(op.kind);
    }
    for (const TensorId id : graph_.outputs) out[id].push_back(OpKind::concat);
    return out;
  }

  bool replace(const Op& end, std::vector<Op>& result, std::size_t& saved) {
    std::vector<const Op*> chain{&end};
    while (true) {
      const std::size_t producer = producers_[chain.back()->inputs[0]];
      if (producer == ir::kNoOp || !moves_only(graph_.ops[producer].kind)) break;
      chain.push_back(&graph_.ops[producer]);
    }
    const TensorId source = chain.back()->inputs[0];
    const auto real = static_cast<std::size_t>(
        std::ranges::count_if(chain, [](const Op* op) { return op->kind != OpKind::reshape; }));
    if (chain.size() < 2 || ir::element_count(shape(source)) > kMostElements) return false;
    Table table(ir::element_count(shape(source)));
    std::iota(table.begin(), table.end(), 0);
    for (auto op = chain.rbegin(); op != chain.rend(); ++op) {
      if ((*op)->kind == OpKind::reshape) continue;
      const Table step = table_of(**op, shape((*op)->inputs[0]), shape((*op)->output));
      Table next;
      next.reserve(step.size());
      for (const std::int32_t at : step) next.push_back(table[static_cast<std::size_t>(at)]);
      table = std::move(next);
    }
    return emit(end, source, table, {.ops = chain.size(), .real = real}, result, saved);
  }

  struct Length {
    std::size_t ops, real;  ///< real: without reshapes, which cost next to nothing
  };

  bool emit(const Op& end, TensorId source, const Table& table, Length old, std::vector<Op>& result,
            std::size_t& saved) {
    Shape between;
    std::optional<Op> op;
    bool plain = table.size() == ir::element_count(shape(source));
    for (std::size_t i = 0; plain && i < table.size(); ++i) plain = table[i] == static_cast<std::int32_t>(i);
    if (!plain) {
      op = as_slice(table, shape(source), between);
      if (!op) op = as_transpose(table, shape(source), between);
      if (!op) return false;
    }
    const bool reshape = plain || between != shape(end.output);
    const Length now{.ops = std::size_t{op.has_value()} + std::size_t{reshape}, .real = op.has_value()};
    if (now.real > old.real || (now.real == old.real && now.ops >= old.ops)) return false;
    TensorId at = source;
    if (op) {
      op->inputs = {at};
      op->output = end.output;
      if (reshape) {
        graph_.tensors.push_back({.name = graph_.tensors[end.output].name + "/moved", .shape = between});
        op->output = graph_.tensors.size() - 1;
      }
      at = op->output;
      result.push_back(std::move(*op));
    }
    if (reshape) result.push_back({.kind = OpKind::reshape, .inputs = {at}, .output = end.output});
    saved += old.ops - std::min(now.ops, old.ops - 1);
    return true;
  }

  /// Reshapes to the same shape: readers read the source instead. A graph's output keeps its name and producer.
  void drop_empty_reshapes() {
    std::vector<TensorId> alias(graph_.tensors.size());
    std::iota(alias.begin(), alias.end(), TensorId{0});
    for (Op& op : graph_.ops) {
      for (TensorId& id : op.inputs) id = alias[id];
      const bool empty = op.kind == OpKind::reshape && shape(op.inputs[0]) == shape(op.output);
      if (empty) alias[op.output] = op.inputs[0];
    }
    const auto used = ir::uses(graph_);
    auto producers = ir::producers(graph_);
    for (TensorId& id : graph_.outputs) {
      const TensorId source = alias[id];
      if (source == id) continue;
      const bool input = producers[source] == ir::kNoOp;
      if (input || std::ranges::contains(graph_.outputs, source)) continue;
      graph_.tensors[source].name = graph_.tensors[id].name;
      id = source;
    }
  }

  /// transpose(concat(x..)) = concat(transpose(x)..), where every x is moved already, so that the chains join.
  std::size_t sink_into_concats() {
    producers_ = ir::producers(graph_);
    const auto used = ir::uses(graph_);
    std::vector<Op> result;
    std::vector<bool> sunk(graph_.ops.size());
    std::size_t count = 0;
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
      const Op& op = graph_.ops[i];
      const std::size_t producer = op.kind == OpKind::transpose ? producers_[op.inputs[0]] : ir::kNoOp;
      if (producer == ir::kNoOp || used[op.inputs[0]] != 1 || graph_.ops[producer].kind != OpKind::concat ||
          !all_moved(graph_.ops[producer])) {
        result.push_back(op);
        continue;
      }
      Op join = graph_.ops[producer];
      for (TensorId& id : join.inputs) {
        Shape moved;
        for (const int axis : op.axes) moved.push_back(shape(id)[static_cast<std::size_t>(axis)]);
        graph_.tensors.push_back({.name = graph_.tensors[id].name + "/moved", .shape = moved});
        result.push_back(
            {.kind = OpKind::transpose, .inputs = {id}, .output = graph_.tensors.size() - 1, .axes = op.axes});
        id = graph_.tensors.size() - 1;
      }
      join.axes[0] = static_cast<int>(std::ranges::find(op.axes, join.axes[0]) - op.axes.begin());
      join.output = op.output;
      result.push_back(std::move(join));
      ++count;
    }
    graph_.ops = std::move(result);
    remove_dead(graph_);
    return count;
  }

  bool all_moved(const Op& concat) const {
    return std::ranges::all_of(concat.inputs, [&](TensorId id) {
      return producers_[id] != ir::kNoOp && moves_only(graph_.ops[producers_[id]].kind);
    });
  }

  ir::Graph& graph_;
  std::vector<std::size_t> producers_;
};

}  // namespace

std::size_t simplify_movement(ir::Graph& graph) { return Mover(graph).run(); }

}  // namespace wayside::optimizer::passes
