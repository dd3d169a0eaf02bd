// SPDX-License-Identifier: Apache-2.0
// Clipping, sensitivity and choice.
#include "optimizer/quantize/int4.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace wayside::optimizer {
namespace {

/// Shares of the largest weight that are tried as the end of the levels.
constexpr int kShares = 20;

double squared_error(const std::vector<float>& weights, float end) {
  const float scale = weight_scale(end, WeightFormat::int4);
  constexpr auto kLevel = static_cast<float>(most_level(WeightFormat::int4));
  double sum = 0;
  for (const float weight : weights) {
    const float error = weight - scale * std::clamp(std::nearbyint(weight / scale), -kLevel, kLevel);
    sum += static_cast<double>(error) * static_cast<double>(error);
  }
  return sum;
}

float best_end(const std::vector<float>& weights) {
  float largest = 0;
  for (const float weight : weights) largest = std::max(largest, std::abs(weight));
  float best = largest;
  double least = squared_error(weights, largest);
  for (int i = kShares - 1; i >= kShares / 4; --i) {
    const float end = largest * static_cast<float>(i) / kShares;
    if (const double error = squared_error(weights, end); error < least) {
      least = error;
      best = end;
    }
  }
  return best;
}

}  // namespace

void clip_for_int4(ir::Op& op) {
  const std::size_t channels = op.bias.size(), per_channel = op.weight.size() / channels;
  std::vector<float> weights(per_channel);
  for (std::size_t o = 0; o < channels; ++o) {
    const auto at = [&](std::size_t i) -> float& {
      return op.weight[op.kind == ir::OpKind::depthwise_conv ? i * channels + o : o * per_channel + i];
    };
    for (std::size_t i = 0; i < per_channel; ++i) weights[i] = at(i);
    const float end = best_end(weights);
    for (std::size_t i = 0; i < per_channel; ++i) at(i) = std::clamp(at(i), -end, end);
  }
}

std::vector<double> int4_sensitivity(const ir::Graph& graph, const std::vector<ir::Values>& all_samples) {
  constexpr std::size_t kSamples = 4;
  const auto samples = std::span(all_samples).first(std::min(kSamples, all_samples.size()));
  ir::Interpreter interpreter(graph);
  std::vector<std::vector<ir::Values>> exact;
  for (const auto& sample : samples) exact.push_back(interpreter.run({sample}));
  Scheme scheme{.activations = std::vector<TensorQuantization>(graph.tensors.size(), {0, 0}),
                .weights = std::vector<WeightFormat>(graph.ops.size(), WeightFormat::float32)};
  std::vector<double> decibels(graph.ops.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    if (!ir::has_weights(graph.ops[i].kind)) continue;
    scheme.weights[i] = WeightFormat::int4;
    interpreter.simulate(scheme);
    scheme.weights[i] = WeightFormat::float32;
    double signal = 1e-20, noise = 1e-20;
    for (std::size_t s = 0; s < samples.size(); ++s) {
      const auto rounded = interpreter.run({samples[s]});
      for (std::size_t k = 0; k < rounded.size(); ++k) {
        for (std::size_t n = 0; n < rounded[k].size(); ++n) {
          const auto wanted = static_cast<double>(exact[s][k][n]);
          const double error = static_cast<double>(rounded[k][n]) - wanted;
          signal += wanted * wanted;
          noise += error * error;
        }
      }
    }
    decibels[i] = 10 * std::log10(signal / noise);
  }
  return decibels;
}

std::vector<WeightFormat> choose_int4(const ir::Graph& graph, const std::vector<double>& sensitivity, double share) {
  std::vector<std::size_t> order(graph.ops.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return sensitivity[a] > sensitivity[b]; });
  double total = 0, taken = 0;
  for (const auto& op : graph.ops) total += static_cast<double>(op.weight.size());
  std::vector<WeightFormat> formats(graph.ops.size(), WeightFormat::int8);
  for (const std::size_t i : order) {
    const auto count = static_cast<double>(graph.ops[i].weight.size());
    if (!ir::has_weights(graph.ops[i].kind) || taken + count > share * total) continue;
    taken += count;
    formats[i] = WeightFormat::int4;
  }
  return formats;
}

}  // namespace wayside::optimizer
