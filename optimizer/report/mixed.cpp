// SPDX-License-Identifier: Apache-2.0
// Order of the layers, and bisection.
#include "optimizer/report/mixed.h"

#include <algorithm>

#include "optimizer/quantize/equalize.h"
#include "optimizer/quantize/int4.h"

namespace wayside::optimizer {

std::vector<LayerPrecision> layers_by_sensitivity(const ir::Graph& network, const std::vector<ir::Values>& samples) {
  ir::Graph graph = network;
  equalize_layers(graph, samples);
  const auto decibels = int4_sensitivity(graph, samples);
  std::vector<LayerPrecision> layers;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const auto& op = graph.ops[i];
    if (!ir::has_weights(op.kind)) continue;
    layers.push_back(
        {.op = i, .name = graph.tensors[op.output].name, .weights = op.weight.size(), .four_bit_db = decibels[i]});
  }
  std::ranges::stable_sort(layers, std::greater(), &LayerPrecision::four_bit_db);
  return layers;
}

double share_of(const std::vector<LayerPrecision>& layers, std::size_t count) {
  double total = 0, taken = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    total += static_cast<double>(layers[i].weights);
    if (i < count) taken += static_cast<double>(layers[i].weights);
  }
  constexpr double kHalf = 0.5;  // of a weight: room for the share's own rounding
  return count == 0 ? 0 : (count == layers.size() ? 1 : (taken + kHalf) / total);
}

base::Result<std::optional<std::size_t>> largest_that_fits(std::size_t most,
                                                           const std::function<base::Result<bool>(std::size_t)>& fits) {
  WAYSIDE_TRY(const bool all, fits(most));
  if (all) return most;
  if (most == 0) return std::nullopt;
  WAYSIDE_TRY(const bool none, fits(0));
  if (!none) return std::nullopt;
  std::size_t good = 0, bad = most;
  while (bad - good > 1) {
    const std::size_t middle = good + (bad - good) / 2;
    WAYSIDE_TRY(const bool fit, fits(middle));
    (fit ? good : bad) = middle;
  }
  return good;
}

}  // namespace wayside::optimizer
