// SPDX-License-Identifier: Apache-2.0
// The scalar definition of requantisation: gemmlowp's double rounding, as TFLite's reference kernels use it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace wayside::accel::cpu {

/// Source: gemmlowp fixedpoint.h SaturatingRoundingDoublingHighMul: round(a * b / 2^31), ties upwards, saturated.
[[nodiscard]] inline std::int32_t doubling_high_mul(std::int32_t a, std::int32_t b) {
  if (a == b && a == std::numeric_limits<std::int32_t>::min()) return std::numeric_limits<std::int32_t>::max();
  const std::int64_t product = static_cast<std::int64_t>(a) * b;
  return static_cast<std::int32_t>((product + (std::int64_t{1} << 30)) >> 31);
}

/// Source: gemmlowp fixedpoint.h RoundingDivideByPOT: round(x / 2^exponent), ties away from zero; exponent 0..31.
[[nodiscard]] inline std::int32_t rounding_divide_by_pot(std::int32_t x, std::int32_t exponent) {
  const std::int64_t mask = (std::int64_t{1} << exponent) - 1;
  const std::int64_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

/// Source: tensorflow/lite/kernels/internal/common.cc MultiplyByQuantizedMultiplier. A left shift that would overflow
/// (undefined there) saturates here: the result is far beyond any 8-bit clamp.
[[nodiscard]] inline std::int32_t multiply_by_quantized_multiplier(std::int32_t x, std::int32_t multiplier,
                                                                   std::int32_t shift) {
  const std::int32_t left = std::max(shift, 0);
  const std::int32_t right = std::max(-shift, 0);
  const std::int64_t shifted = static_cast<std::int64_t>(x) << left;
  const auto saturated = static_cast<std::int32_t>(std::clamp<std::int64_t>(
      shifted, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
  return rounding_divide_by_pot(doubling_high_mul(saturated, multiplier), right);
}

}  // namespace wayside::accel::cpu
