// SPDX-License-Identifier: Apache-2.0
// The header says what shares memory and when.
#include "accel/cpu/tensor_places.h"

#include <algorithm>
#include <numeric>

namespace wayside::accel::cpu {

TensorPlaces::TensorPlaces(const Graph& graph)
    : graph_(graph), place_of_(graph.tensors.size()), part_of_(graph.tensors.size()) {
  std::iota(place_of_.begin(), place_of_.end(), 0);
}

bool TensorPlaces::alias(std::int32_t in, std::int32_t out) {
  const bool is_output = std::ranges::contains(graph_.outputs, out);
  if (is_output && std::ranges::contains(graph_.inputs, place_of_[in])) return false;
  place_of_[out] = place_of_[in];
  return true;
}

std::vector<std::int32_t> TensorPlaces::places(const std::vector<std::int32_t>& tensors) const {
  std::vector<std::int32_t> result;
  for (const std::int32_t tensor : tensors) result.push_back(place_of_[tensor]);
  return result;
}

StepPlaces TensorPlaces::places_of(const PendingStep& step) const {
  StepPlaces result{.reads = {}, .writes = places(step.node->outputs)};
  for (const std::uint32_t read : step.prepared.reads) result.reads.push_back(place_of_[step.node->inputs[read]]);
  return result;
}

/// By place: the last step that reads it; model outputs are read after all.
std::vector<std::size_t> TensorPlaces::last_reads(std::span<const PendingStep> steps) const {
  std::vector<std::size_t> last_read(place_of_.size(), 0);
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (const std::uint32_t read : steps[step].prepared.reads)
      last_read[place_of_[steps[step].node->inputs[read]]] = step;
  }
  for (const std::int32_t place : places(graph_.outputs)) last_read[place] = steps.size();
  return last_read;
}

void TensorPlaces::share_operands(std::span<const PendingStep> steps) {
  auto last_read = last_reads(steps);
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const auto& [node, number, prepared] = steps[step];
    if (!prepared.bytewise) continue;
    const std::int32_t out = node->outputs.front();
    for (const std::uint32_t read : prepared.reads) {
      const std::int32_t place = place_of_[node->inputs[read]];
      const bool is_input = std::ranges::contains(graph_.inputs, place);
      const bool is_output = std::ranges::any_of(graph_.outputs, [&](auto tensor) { return place_of_[tensor] == out; });
      if (graph_.tensors[place].is_constant() || last_read[place] != step || (is_input && is_output)) continue;
      last_read[place] = last_read[out];
      std::ranges::replace(place_of_, out, place);
      break;
    }
  }
}

void TensorPlaces::place_parts(std::span<const PendingStep> steps) {
  const auto last_read = last_reads(steps);
  const auto inputs = places(graph_.inputs);
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const auto& [node, number, prepared] = steps[step];
    for (std::size_t i = 0; i < prepared.held_at.size(); ++i) {
      if (!prepared.held_at[i]) continue;
      const std::int32_t place = place_of_[node->inputs[prepared.reads[i]]];
      const bool is_input = std::ranges::contains(inputs, place);
      if (graph_.tensors[place].is_constant() || is_input || last_read[place] != step) continue;
      if (part_of_[place].place < 0) part_of_[place] = {place_of_[node->outputs.front()], *prepared.held_at[i]};
    }
  }
}

TensorPlaces::Part TensorPlaces::whole_of(std::int32_t tensor) const {
  Part whole{.place = place_of_[tensor]};
  while (part_of_[whole.place].place >= 0) {
    whole.begin += part_of_[whole.place].begin;
    whole.place = part_of_[whole.place].place;
  }
  return whole;
}

std::vector<MemoryPlanner::Block> TensorPlaces::lifetimes(std::span<const PendingStep> steps) const {
  std::vector<MemoryPlanner::Block> blocks(graph_.tensors.size());
  std::vector<bool> alive(blocks.size(), false);
  const auto use = [&](std::int32_t tensor, std::size_t step) {
    const std::int32_t place = whole_of(tensor).place;
    const Tensor& owner = graph_.tensors[place];
    if (owner.is_constant()) return;
    auto& block = blocks[place];
    if (!alive[place]) block = {.size_bytes = owner.byte_count(), .first_use = step, .last_use = step};
    alive[place] = true;
    block.first_use = std::min(block.first_use, step);
    block.last_use = std::max(block.last_use, step);
  };
  for (const std::int32_t input : graph_.inputs) use(input, 0);  // written before the first operator
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (const std::uint32_t read : steps[step].prepared.reads) use(steps[step].node->inputs[read], step);
    for (const std::int32_t output : steps[step].node->outputs) use(output, step);
  }
  // Model outputs stay apart from everything for the whole run, so that writing the next input leaves them alone.
  for (const std::int32_t output : graph_.outputs) {
    use(output, 0);
    use(output, steps.size());
  }
  return blocks;
}

}  // namespace wayside::accel::cpu
