// SPDX-License-Identifier: Apache-2.0
// Ranges to scales; rounding of weights and biases.
#include "optimizer/quantize/scales.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <limits>

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

TensorQuantization from_range(Range range) {
  const float low = std::min(range.low, 0.0F), high = std::max(range.high, 0.0F);
  const float scale = std::max((high - low) / 255.0F, kLeastScale);
  return {scale, static_cast<int>(std::lround(std::clamp(-128.0F - low / scale, -128.0F, 127.0F)))};
}

Range bounded(const Op& op, Range range) {
  if (op.activation != ir::Activation::none || op.kind == OpKind::relu) range.low = 0;
  if (op.activation == ir::Activation::relu6) range.high = std::min(range.high, 6.0F);
  if (op.kind == OpKind::clip) range = {std::max(range.low, op.alpha), std::min(range.high, op.beta)};
  return range;
}

QuantizedWeights round_weights(const Op& op, float input_scale, WeightFormat format) {
  const std::size_t channels = op.bias.size(), per_channel = op.weight.size() / channels;
  const auto index = [&](std::size_t o, std::size_t i) {
    return op.kind == OpKind::depthwise_conv ? i * channels + o : o * per_channel + i;
  };
  QuantizedWeights out{.format = format, .weight = std::vector<std::int8_t>(op.weight.size()), .scale = {}, .bias = {}};
  const auto level = static_cast<float>(most_level(format));
  for (std::size_t o = 0; o < channels; ++o) {
    float largest = 0;
    for (std::size_t i = 0; i < per_channel; ++i) largest = std::max(largest, std::abs(op.weight[index(o, i)]));
    // A bias that does not fit wants a coarser scale: what such small weights add is below its last bit, or nearly.
    constexpr double kMost =
        std::numeric_limits<std::int32_t>::max() / 2;  // room for the products that are added to it
    const double fits = std::abs(static_cast<double>(op.bias[o])) / (static_cast<double>(input_scale) * kMost);
    const float scale = std::max(weight_scale(largest, format), static_cast<float>(fits));
    for (std::size_t i = 0; i < per_channel; ++i) {
      const float q = std::clamp(std::nearbyint(op.weight[index(o, i)] / scale), -level, level);
      out.weight[index(o, i)] = static_cast<std::int8_t>(q);
    }
    const double bias =
        static_cast<double>(op.bias[o]) / (static_cast<double>(input_scale) * static_cast<double>(scale));
    out.scale.push_back(scale);
    out.bias.push_back(static_cast<std::int32_t>(std::llround(std::clamp(bias, -kMost, kMost))));
  }
  return out;
}

}  // namespace

bool keeps_scale(OpKind kind) {
  switch (kind) {
    case OpKind::max_pool:
    case OpKind::average_pool:
    case OpKind::resize_nearest:
    case OpKind::resize_bilinear:
    case OpKind::reshape:
    case OpKind::transpose:
    case OpKind::slice:
    case OpKind::pad: return true;
    default: return false;
  }
}

std::vector<TensorQuantization> scales_for(const ir::Graph& graph, const std::vector<Range>& ranges,
                                           const TensorQuantization& input) {
  std::vector<TensorQuantization> scales(graph.tensors.size());
  for (std::size_t id = 0; id < graph.tensors.size(); ++id) {
    const auto& constant = graph.tensors[id].constant;
    if (constant.empty()) continue;
    const auto [low, high] = std::ranges::minmax(constant);
    scales[id] = from_range({low, high});
  }
  for (const auto id : graph.inputs) scales[id] = input.scale > 0 ? input : from_range(ranges[id]);
  for (const Op& op : graph.ops) {
    TensorQuantization& out = scales[op.output];
    if (keeps_scale(op.kind))
      out = scales[op.inputs[0]];
    else if (op.kind == OpKind::logistic || op.kind == OpKind::softmax)
      out = {1.0F / 256.0F, -128};
    else if (op.kind == OpKind::tanh)
      out = {1.0F / 128.0F, 0};
    else
      out = from_range(bounded(op, ranges[op.output]));
  }
  return scales;
}

base::Result<QuantizedGraph> quantize(const ir::Graph& graph, const std::vector<TensorQuantization>& scales,
                                      std::span<const WeightFormat> formats) {
  if (scales.size() != graph.tensors.size() || (!formats.empty() && formats.size() != graph.ops.size())) {
    return base::fail(base::Code::invalid_argument,
                      std::format("quantize: {} scales for {} tensors, {} formats for {} operators", scales.size(),
                                  graph.tensors.size(), formats.size(), graph.ops.size()));
  }
  QuantizedGraph out{.graph = graph, .tensors = scales, .weights = {}};
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    const bool conv = ir::has_weights(op.kind);
    const WeightFormat format = formats.empty() ? WeightFormat::int8 : formats[i];
    if (conv && format != WeightFormat::int8 && format != WeightFormat::int4) {
      return base::fail(
          base::Code::invalid_argument,
          std::format("quantize: {} has float weights; give it int8 or int4", graph.tensors[op.output].name));
    }
    if (conv && (!op.norm.empty() || op.bias.empty() || op.weight.empty())) {
      return base::fail(base::Code::invalid_argument,
                        std::format("quantize: {} has no weights or an unfolded batch norm; call fold_batch_norm first",
                                    graph.tensors[op.output].name));
    }
    out.weights.push_back(conv ? round_weights(op, scales[op.inputs[0]].scale, format) : QuantizedWeights{});
  }
  return out;
}

}  // namespace wayside::optimizer
