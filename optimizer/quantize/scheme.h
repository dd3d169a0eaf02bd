// SPDX-License-Identifier: Apache-2.0
// Scheme: how the tensors and weights of a network are stored; what quantiser, simulation and training all follow.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace wayside::optimizer {

/// real = scale * (q - zero_point), q in -128..127.
struct TensorQuantization {
  float scale = 1;
  int zero_point = 0;
};

/// Weights are symmetric per output channel: weight = scale[o] * q, q in -level..level with level = most_level().
/// float16 and float32 have no scale; float16 rounds to the nearest half.
enum class WeightFormat : std::uint8_t { int8, int4, float16, float32 };
[[nodiscard]] constexpr int most_level(WeightFormat format) { return format == WeightFormat::int4 ? 7 : 127; }

/// A scale of 0 cannot be stored; what is always 0 gets this one.
inline constexpr float kLeastScale = 1e-6F;

/// Scale of a channel whose largest weight has this magnitude. Rounding is to nearest, ties to even, then clamped to
/// the levels. Passes that clip or round weights in another way (AdaRound, narrower ranges) put the result into the
/// float weights: they are on this grid then, and rounding again changes nothing.
[[nodiscard]] inline float weight_scale(float largest, WeightFormat format) {
  return std::max(largest / static_cast<float>(most_level(format)), kLeastScale);
}

/// For one ir::Graph without batch norm.
struct Scheme {
  std::vector<TensorQuantization> activations;  ///< one per tensor of the graph; scale 0: stays float
  std::vector<WeightFormat> weights;            ///< one per op, read for those with weights; empty: int8 everywhere
  [[nodiscard]] bool empty() const { return activations.empty(); }
  [[nodiscard]] WeightFormat weight(std::size_t op) const { return weights.empty() ? WeightFormat::int8 : weights[op]; }
};

}  // namespace wayside::optimizer
