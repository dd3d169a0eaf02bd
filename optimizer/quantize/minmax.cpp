// SPDX-License-Identifier: Apache-2.0
// Calibration by clipped, averaged ranges; rounding of weights and biases.
#include "optimizer/quantize/minmax.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <limits>

namespace wayside::optimizer {
namespace {

TensorQuantization from_range(Range range) {
  const float low = std::min(range.low, 0.0F), high = std::max(range.high, 0.0F);
  const float scale = std::max((high - low) / 255.0F, kLeastScale);
  const float zero = -128.0F - low / scale;
  return {scale, static_cast<int>(std::lround(std::clamp(zero, -128.0F, 127.0F)))};
}

Range bounded(Range range, ir::Activation activation) {
  if (activation == ir::Activation::none) return range;
  range.low = 0;
  if (activation == ir::Activation::relu6) range.high = std::min(range.high, 6.0F);
  return range;
}

QuantizedWeights round_weights(const ir::Op& op, float input_scale, WeightFormat format) {
  const std::size_t channels = op.bias.size(), per_channel = op.weight.size() / channels;
  const auto index = [&](std::size_t o, std::size_t i) {
    return op.kind == ir::OpKind::depthwise_conv ? i * channels + o : o * per_channel + i;
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

void RangeCollector::add(std::size_t tensor, std::span<const float> values) {
  if (values.empty()) return;
  Range range;
  const auto cut = static_cast<std::ptrdiff_t>(clip_ * static_cast<double>(values.size()));
  if (cut == 0) {
    const auto [low, high] = std::ranges::minmax(values);
    range = {low, high};
  } else {
    sorted_.assign(values.begin(), values.end());
    std::ranges::nth_element(sorted_, sorted_.begin() + cut);
    range.low = sorted_[static_cast<std::size_t>(cut)];
    std::ranges::nth_element(sorted_, sorted_.end() - 1 - cut);
    range.high = *(sorted_.end() - 1 - cut);
  }
  sums_[tensor].low += range.low;
  sums_[tensor].high += range.high;
  ++counts_[tensor];
}

std::vector<Range> RangeCollector::ranges() const {
  std::vector<Range> out = sums_;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto count = static_cast<float>(std::max<std::size_t>(counts_[i], 1));
    out[i].low /= count;
    out[i].high /= count;
  }
  return out;
}

std::vector<TensorQuantization> choose_scales(const ir::Graph& graph, std::span<const Range> ranges,
                                              const TensorQuantization& input) {
  std::vector<TensorQuantization> scales(graph.tensors.size());
  for (const auto id : graph.inputs) scales[id] = input;
  for (const auto& op : graph.ops) {
    switch (op.kind) {
      case ir::OpKind::resize_nearest: scales[op.output] = scales[op.inputs[0]]; break;
      case ir::OpKind::logistic: scales[op.output] = {1.0F / 256.0F, -128}; break;
      default: scales[op.output] = from_range(bounded(ranges[op.output], op.activation)); break;
    }
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
    const ir::Op& op = graph.ops[i];
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
