// SPDX-License-Identifier: Apache-2.0
// Seeded stand-ins for INT8 models and the changes that a new version makes to them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "ota/delta/wire.h"

namespace wayside::test {

/// splitmix64: the same numbers on every machine, as std distributions do not promise.
class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = (state_ ^ (state_ >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// Normal with mean 0 (sum of twelve uniforms, less 6: good to 4 sigma, and the same everywhere).
  double normal(double sigma) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(next() >> 11U) * 0x1p-53;
    return (sum - 6) * sigma;
  }

 private:
  std::uint64_t state_;
};

inline std::byte int8_weight(SeededRandom& random) {
  return static_cast<std::byte>(static_cast<std::int8_t>(std::clamp(std::lround(random.normal(20)), -127L, 127L)));
}

/// Weights N(0, 20), rounded.
inline ota::Bytes make_weights(std::size_t bytes, std::uint64_t seed) {
  SeededRandom random(seed);
  ota::Bytes weights(bytes);
  std::ranges::generate(weights, [&] { return int8_weight(random); });
  return weights;
}

/// `regions` equal regions, spread evenly, together `fraction` of the file, drawn anew.
inline ota::Bytes redraw_regions(ota::Bytes weights, double fraction, std::size_t regions, std::uint64_t seed) {
  SeededRandom random(seed);
  const auto each =
      static_cast<std::size_t>(fraction * static_cast<double>(weights.size()) / static_cast<double>(regions));
  const std::size_t stride = weights.size() / regions;
  for (std::size_t region = 0; region < regions; ++region) {
    const std::size_t start = region * stride + random.below(stride - each);
    for (std::size_t i = 0; i < each; ++i) weights[start + i] = int8_weight(random);
  }
  return weights;
}

/// Each weight moves by +1 or -1 with this probability, as after a light fine-tuning.
inline ota::Bytes nudge(ota::Bytes weights, double probability, std::uint64_t seed) {
  SeededRandom random(seed);
  for (std::byte& weight : weights) {
    if (static_cast<double>(random.next() >> 11U) * 0x1p-53 >= probability) continue;
    const int step = (random.next() & 1U) != 0 ? 1 : -1;
    weight = static_cast<std::byte>(std::to_integer<int>(weight) + step);
  }
  return weights;
}

}  // namespace wayside::test
