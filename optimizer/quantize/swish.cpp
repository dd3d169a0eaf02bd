// SPDX-License-Identifier: Apache-2.0
// Finding swishes, ending their ranges, and equalisation through them.
#include "optimizer/quantize/swish.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "optimizer/quantize/equalize.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

/// A factor for each channel, as equalize_swish() adds it.
bool is_scaling(const Op& op) {
  return op.kind == OpKind::depthwise_conv && op.window == ir::SlidingWindow() && op.weight.size() == op.bias.size() &&
         std::ranges::all_of(op.bias, [](float bias) { return bias == 0; }) &&
         std::ranges::all_of(op.weight, [](float weight) { return weight > 0; });
}

/// A place where channels can be scaled: `first` makes x, only `readers` read the product.
struct Place {
  Swish swish;
  std::size_t first = 0;
  std::vector<std::size_t> readers;
};

/// The layers that read `id`, directly or behind zero padding; empty where something else does, too.
std::vector<std::size_t> readers_of(const ir::Graph& graph, ir::TensorId id) {
  std::vector<std::size_t> out;
  if (std::ranges::contains(graph.outputs, id)) return {};
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (!std::ranges::contains(op.inputs, id)) continue;
    if (has_weights(op.kind)) {
      out.push_back(i);
      continue;
    }
    const bool pads = op.kind == OpKind::pad && op.alpha == 0;
    const auto behind = pads ? readers_of(graph, op.output) : std::vector<std::size_t>();
    if (behind.empty()) return {};
    out.insert(out.end(), behind.begin(), behind.end());
  }
  return out;
}

std::vector<Place> places(const ir::Graph& graph) {
  const auto producers = ir::producers(graph);
  std::vector<Place> out;
  for (const Swish& swish : find_swish(graph)) {
    const std::size_t first = producers[swish.input];
    if (graph.ops[swish.logistic].inputs[0] != swish.input) continue;  // is equalised
    if (first == ir::kNoOp || !has_weights(graph.ops[first].kind) ||
        graph.ops[first].activation != ir::Activation::none)
      continue;
    auto readers = readers_of(graph, graph.ops[swish.mul].output);
    if (!readers.empty()) out.push_back({.swish = swish, .first = first, .readers = std::move(readers)});
  }
  return out;
}

std::vector<float> factors(const ir::Graph& graph, const Place& place, const std::vector<float>& range) {
  std::vector<float> weight(range.size()), out(range.size(), 1);
  for (const std::size_t reader : place.readers) {
    const Op& op = graph.ops[reader];
    for (std::size_t k = 0; k < op.weight.size(); ++k) {
      float& most = weight[weight_place(op, range.size(), k).in];
      most = std::max(most, std::abs(op.weight[k]));
    }
  }
  constexpr float kMostChange = 64;
  for (std::size_t c = 0; c < range.size(); ++c) {
    if (range[c] > 0 && weight[c] > 0) out[c] = std::sqrt(weight[c] / range[c]);
  }
  // The largest channel keeps its size: only the relation between channels matters.
  const auto widest = static_cast<std::size_t>(std::ranges::max_element(range) - range.begin());
  const float unit = out[widest];
  for (float& factor : out) factor = std::clamp(factor / unit, 1 / kMostChange, kMostChange);
  return out;
}

void scale(ir::Graph& graph, const Place& place, const std::vector<float>& s) {
  Op& first = graph.ops[place.first];
  const std::size_t first_inputs = input_channels(graph, first);
  for (std::size_t k = 0; k < first.weight.size(); ++k) first.weight[k] *= s[weight_place(first, first_inputs, k).out];
  for (std::size_t c = 0; c < s.size(); ++c) first.bias[c] *= s[c];
  for (const std::size_t reader : place.readers) {
    Op& op = graph.ops[reader];
    for (std::size_t k = 0; k < op.weight.size(); ++k) op.weight[k] /= s[weight_place(op, s.size(), k).in];
  }
}

}  // namespace

std::vector<Swish> find_swish(const ir::Graph& graph) {
  const auto producers = ir::producers(graph);
  const auto uses = ir::uses(graph);
  std::vector<Swish> out;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& mul = graph.ops[i];
    if (mul.kind != OpKind::mul || mul.inputs.size() != 2) continue;
    for (const auto& [x, gate] : {std::pair{mul.inputs[0], mul.inputs[1]}, std::pair{mul.inputs[1], mul.inputs[0]}}) {
      const std::size_t logistic = producers[gate];
      if (logistic == ir::kNoOp || graph.ops[logistic].kind != OpKind::logistic) continue;
      Swish swish{.logistic = logistic, .mul = i, .input = x};
      ir::TensorId from = graph.ops[logistic].inputs[0];
      if (const std::size_t back = producers[from]; from != x && back != ir::kNoOp && is_scaling(graph.ops[back])) {
        from = graph.ops[back].inputs[0];
        swish.factor = 1 / std::ranges::min(graph.ops[back].weight);
      }
      if (from == x && uses[gate] == 1 && uses[x] == 2) out.push_back(swish);
    }
  }
  return out;
}

void end_swish_ranges(const ir::Graph& graph, std::vector<Range>& ranges) {
  const auto uses = ir::uses(graph);
  std::vector<std::size_t> by_logistic(graph.tensors.size());
  for (const Op& op : graph.ops) by_logistic[op.inputs[0]] += op.kind == OpKind::logistic ? 1 : 0;
  for (std::size_t id = 0; id < ranges.size(); ++id) {
    if (by_logistic[id] == 0 || by_logistic[id] != uses[id]) continue;
    ranges[id] = {std::max(ranges[id].low, kLogisticEnd), std::min(ranges[id].high, -kLogisticEnd)};
  }
  for (const Swish& swish : find_swish(graph)) {
    Range& range = ranges[swish.input];
    range.low = std::max(range.low, kLogisticEnd * swish.factor);
  }
}

std::size_t equalize_swish(ir::Graph& graph, const std::vector<ir::Values>& samples) {
  const auto all = places(graph);
  if (all.empty()) return 0;
  std::vector<ir::TensorId> inputs;
  for (const Place& place : all) inputs.push_back(place.swish.input);
  constexpr std::size_t kSamples = 32;
  // Up, or down to where the swish ends.
  const auto ranges = channel_reaches(graph, inputs, samples, kSamples,
                                      [](float x) { return std::max(x, std::min(-x, -kLogisticEnd)); });
  std::vector<std::pair<std::size_t, Op>> added;  // before which operator
  for (const Place& place : all) {
    const auto s = factors(graph, place, ranges[place.swish.input]);
    scale(graph, place, s);
    Op& logistic = graph.ops[place.swish.logistic];
    ir::Tensor tensor = graph.tensors[place.swish.input];
    tensor.name += "/unscaled";
    tensor.low = tensor.high = 0;
    graph.tensors.push_back(std::move(tensor));
    Op back{.kind = OpKind::depthwise_conv, .inputs = {place.swish.input}, .output = graph.tensors.size() - 1};
    for (const float factor : s) back.weight.push_back(1 / factor);
    back.bias.assign(s.size(), 0);
    logistic.inputs[0] = back.output;
    added.emplace_back(place.swish.logistic, std::move(back));
  }
  std::ranges::sort(added, std::greater(), &std::pair<std::size_t, Op>::first);
  for (auto& [before, op] : added) graph.ops.insert(graph.ops.begin() + static_cast<std::ptrdiff_t>(before), op);
  return added.size();
}

}  // namespace wayside::optimizer
