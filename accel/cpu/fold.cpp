// SPDX-License-Identifier: Apache-2.0
// Folding; the header says what and why.
#include "accel/cpu/fold.h"

#include <algorithm>
#include <utility>

#include "accel/cpu/ops/op_table.h"

namespace wayside::accel::cpu {
namespace {

/// Elements that a window of `size` spans; far from overflow for any int32.
std::int64_t extent(std::int32_t size, std::int32_t dilation) { return ((std::int64_t{size} - 1) * dilation) + 1; }

}  // namespace

LookupTable Fold::table_from_origin(std::int32_t tensor) const {
  if (const auto* table = table_of(tensor)) return *table;
  LookupTable itself;
  for (std::size_t byte = 0; byte < itself.size(); ++byte) itself[byte] = static_cast<std::uint8_t>(byte);
  return itself;
}

/// Every window must touch the picture: kernels may rely on it.
bool Fold::window_takes(const Node& node, const Padded& padded) const {
  const OpOptions& options = node.options;
  if (!options.present || options.padding != Padding::valid) return false;
  std::int64_t rows = 0, columns = 0;
  if (node.entry->code == OpCode::max_pool_2d) {
    const Tensor& in = graph_.tensors[padded.input];
    if (in.quantization.zero_point != type_range(in.type).min) return false;  // a zero point never wins
    rows = options.filter_h;
    columns = options.filter_w;
  } else if (node.entry->code == OpCode::conv_2d || node.entry->code == OpCode::depthwise_conv_2d) {
    if (node.inputs.size() < 2 || node.inputs[1] < 0) return false;
    const Shape& filter = graph_.tensors[node.inputs[1]].shape;
    if (filter.rank() != 4) return false;
    rows = extent(filter[1], options.dilation_h);
    columns = extent(filter[2], options.dilation_w);
  } else {
    return false;
  }
  const auto& [top, left, bottom, right] = padded.padding;
  return std::max(top, bottom) < rows && std::max(left, right) < columns;
}

const Node& Fold::before(const Node& node) {
  if (node.inputs.empty()) return node;
  const auto padded = std::ranges::find(padded_, node.inputs[0], &Padded::tensor);
  if (padded == padded_.end() || !window_takes(node, *padded)) return node;
  Node& copy = rewritten_.emplace_back(node);
  copy.inputs[0] = padded->input;
  copy.options.outer = padded->padding;
  return copy;
}

const LookupTable* Fold::table_of(std::int32_t tensor) const {
  return origins_[tensor] ? &origins_[tensor]->table : nullptr;
}

const Node& Fold::after(const Node& node, PreparedOp& prepared, const LookupTable* kept) {
  if (level_ == Level::reference) return node;
  const std::int32_t out = node.outputs.front();
  if (prepared.padding) {
    padded_.push_back({.tensor = out, .input = node.inputs[prepared.reads.front()], .padding = *prepared.padding});
  }
  if (!prepared.bytewise) return node;
  const std::int32_t first = node.inputs[prepared.reads.front()], last = node.inputs[prepared.reads.back()];
  const auto root = [this](std::int32_t tensor) { return origins_[tensor] ? origins_[tensor]->tensor : tensor; };
  if (root(first) != root(last)) return node;
  Origin& origin = origins_[out].emplace(Origin{.tensor = root(first)});
  if (kept != nullptr) {
    origin.table = *kept;
  } else {
    const LookupTable a = table_from_origin(first), b = table_from_origin(last);
    for (std::size_t byte = 0; byte < origin.table.size(); ++byte) {
      origin.table[byte] = prepared.bytewise(a[byte], b[byte]);
    }
  }
  if (node.inputs.size() == 1 && node.inputs.front() == origin.tensor) return node;
  Node& copy = rewritten_.emplace_back(node);
  copy.inputs = {origin.tensor};
  prepared = ops::lookup_operator(origin.table, NodeView(graph_, copy, level_, 1));
  return copy;
}

std::vector<bool> needed_steps(const std::vector<StepPlaces>& steps, const std::vector<std::int32_t>& outputs,
                               std::size_t place_count) {
  std::vector<bool> place_needed(place_count, false), needed(steps.size(), false);
  for (const std::int32_t output : outputs) place_needed[output] = true;
  for (std::size_t step = steps.size(); step-- > 0;) {
    needed[step] = std::ranges::any_of(steps[step].writes, [&](std::int32_t place) { return place_needed[place]; });
    if (!needed[step]) continue;
    for (const std::int32_t place : steps[step].reads) place_needed[place] = true;
  }
  return needed;
}

}  // namespace wayside::accel::cpu
