// SPDX-License-Identifier: Apache-2.0
// Pairs of layers, and what their channels hold.
#include "optimizer/quantize/equalize.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

/// f(a * x) = a * f(x) for each channel and a > 0.
bool scales_with_input(const Op& op) {
  switch (op.kind) {
    case OpKind::relu:
    case OpKind::leaky_relu:
    case OpKind::max_pool:
    case OpKind::average_pool: return true;
    case OpKind::pad: return op.alpha == 0;
    default: return false;
  }
}

struct LayerPair {
  std::size_t first, second;          ///< operators
  std::vector<ir::TensorId> between;  ///< from the second's input back to the first's output
};

std::vector<LayerPair> pairs_of(const ir::Graph& graph) {
  const auto producers = ir::producers(graph);
  const auto uses = ir::uses(graph);
  std::vector<LayerPair> pairs;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    if (!has_weights(graph.ops[i].kind)) continue;
    std::vector<ir::TensorId> between{graph.ops[i].inputs[0]};
    const auto producer = [&] { return producers[between.back()]; };
    while (uses[between.back()] == 1 && producer() != ir::kNoOp && scales_with_input(graph.ops[producer()]))
      between.push_back(graph.ops[producer()].inputs[0]);
    if (uses[between.back()] != 1 || producer() == ir::kNoOp) continue;
    const Op& first = graph.ops[producer()];
    if (has_weights(first.kind) && first.activation != ir::Activation::relu6)
      pairs.push_back({producer(), i, std::move(between)});
  }
  return pairs;
}

/// Channels that hold next to nothing are not blown up to the others' size, and those that hold nothing (whose sums a
/// relu always cuts off) not at all: what they hold elsewhere is not known.
void raise(std::vector<float>& magnitudes) {
  constexpr float kMostChange = 256;
  const float most = *std::ranges::max_element(magnitudes), least = most / kMostChange;
  for (float& magnitude : magnitudes) magnitude = magnitude > 0 ? std::max(magnitude, least) : most;
}

/// `range`: of the channels between; divided by their factors.
void equalize_pair(const ir::Graph& graph, Op& first, Op& second, std::vector<float>& range) {
  const std::size_t channels = range.size(), first_inputs = input_channels(graph, first);
  std::vector<float> weight(channels), factor(channels, 1);
  for (std::size_t k = 0; k < second.weight.size(); ++k) {
    float& most = weight[weight_place(second, channels, k).in];
    most = std::max(most, std::abs(second.weight[k]));
  }
  raise(weight);
  const float largest = *std::ranges::max_element(range);
  for (std::size_t c = 0; c < channels && largest > 0 && weight[c] > 0; ++c)
    factor[c] = second.kind == OpKind::depthwise_conv ? range[c] / largest : std::sqrt(range[c] / weight[c]);
  for (std::size_t k = 0; k < first.weight.size(); ++k)
    first.weight[k] /= factor[weight_place(first, first_inputs, k).out];
  for (std::size_t c = 0; c < channels; ++c) {
    first.bias[c] /= factor[c];
    range[c] /= factor[c];
  }
  for (std::size_t k = 0; k < second.weight.size(); ++k)
    second.weight[k] *= factor[weight_place(second, channels, k).in];
}

}  // namespace

WeightPlace weight_place(const Op& op, std::size_t inputs, std::size_t index) {
  if (op.kind != OpKind::depthwise_conv) return {index / (op.weight.size() / op.bias.size()), index % inputs};
  const std::size_t o = index % op.bias.size();
  return {o, o / (op.bias.size() / inputs)};
}

std::size_t input_channels(const ir::Graph& graph, const Op& op) {
  return static_cast<std::size_t>(graph.tensors[op.inputs[0]].shape.back());
}

std::vector<std::vector<float>> channel_reaches(const ir::Graph& graph, const std::vector<ir::TensorId>& tensors,
                                                const std::vector<ir::Values>& samples, std::size_t count,
                                                float (*reach)(float)) {
  std::vector<std::vector<float>> most(graph.tensors.size());
  for (const auto id : tensors) most[id].resize(static_cast<std::size_t>(graph.tensors[id].shape.back()));
  if (tensors.empty()) return most;
  ir::Interpreter interpreter(graph);
  interpreter.observe([&](ir::TensorId id, std::span<const float> values) {
    auto& channels = most[id];
    for (std::size_t i = 0; !channels.empty() && i < values.size(); i += channels.size()) {
      for (std::size_t c = 0; c < channels.size(); ++c) channels[c] = std::max(channels[c], reach(values[i + c]));
    }
  });
  count = std::min(count, samples.size());
  for (std::size_t i = 0; i < count; ++i) static_cast<void>(interpreter.run({samples[i * samples.size() / count]}));
  return most;
}

std::size_t equalize_layers(ir::Graph& graph, const std::vector<ir::Values>& samples) {
  const auto pairs = pairs_of(graph);
  std::vector<ir::TensorId> outputs;
  for (const LayerPair& pair : pairs) outputs.push_back(pair.between.back());
  constexpr std::size_t kSamples = 64;
  auto ranges = channel_reaches(graph, outputs, samples, kSamples, [](float value) { return std::abs(value); });
  for (const LayerPair& pair : pairs) raise(ranges[pair.between.back()]);
  constexpr int kRounds = 3;  // factors travel along chains of layers
  for (int round = 0; round < kRounds; ++round) {
    for (const LayerPair& pair : pairs)
      equalize_pair(graph, graph.ops[pair.first], graph.ops[pair.second], ranges[pair.between.back()]);
  }
  for (const LayerPair& pair : pairs) {
    for (const auto id : pair.between)
      graph.tensors[id].low = graph.tensors[id].high = 0;  // no longer what a file said
  }
  return pairs.size();
}

}  // namespace wayside::optimizer
