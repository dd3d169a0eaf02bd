// SPDX-License-Identifier: Apache-2.0
// Seeded numbers and picture-like inputs that are the same with every compiler: integer arithmetic only.
#pragma once

#include <cstdint>
#include <span>

namespace wayside::conformance {

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  /// Uniform in [low, high], both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  /// Uniform in [low, high) in steps of 2^-20 of the range.
  double real(double low, double high) { return low + (high - low) * static_cast<double>(next() >> 44U) / 1048576.0; }

 private:
  std::uint64_t state_;
};

/// Fills `pixels` (u8 [height,width,channels]) with a smooth background, overlapping discs and bars, and a little
/// noise: enough structure that a classifier's best class stands out.
void fill_picture(std::span<std::uint8_t> pixels, std::int32_t height, std::int32_t width, std::int32_t channels,
                  std::uint64_t seed);

/// Fills a model's input of any shape: a picture as [1,height,width,channels] or [1,channels,height,width] (channels
/// <= 4 < width), else as one row. Signed types get the same picture minus 128.
void fill_model_input(std::span<std::uint8_t> bytes, std::span<const std::int32_t> shape, bool is_signed,
                      std::uint64_t seed);

}  // namespace wayside::conformance
