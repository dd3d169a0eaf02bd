// SPDX-License-Identifier: Apache-2.0
// The fixed-point arithmetic of quantised operators, as TFLite's reference kernels define it.
#pragma once

#include <cstdint>
#include <optional>

#include "accel/accelerator.h"
#include "accel/cpu/graph.h"
#include "accel/cpu/kernels/requant.h"

namespace wayside::accel::cpu {

/// A real factor as value / 2^31 * 2^shift, |value| in [2^30, 2^31) or 0.
struct Multiplier {
  std::int32_t value = 0;
  std::int32_t shift = 0;  ///< -31..30, > 0 is to the left
};

/// Source: tensorflow/lite/kernels/internal/quantization_util.cc QuantizeMultiplier. Factors below 2^-32 become 0.
/// Those from 2^30 on, where the reference is undefined, become the largest multiplier: every product but 0 saturates
/// (traffic_model of the Coral test data has an untrained branch with a factor of 3e30). Nothing for NaN and infinity.
[[nodiscard]] std::optional<Multiplier> quantize_multiplier(double real);

/// round(x * real), double rounding.
[[nodiscard]] inline std::int32_t multiply(std::int32_t x, Multiplier by) {
  return multiply_by_quantized_multiplier(x, by.value, by.shift);
}

/// a + b, saturated: after a large left shift the sum with a zero point may not fit.
[[nodiscard]] inline std::int32_t saturating_add(std::int32_t a, std::int32_t b) {
  std::int32_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? INT32_MIN : INT32_MAX;
}

struct Range {
  std::int32_t min = 0, max = 0;
  [[nodiscard]] std::int32_t clamp(std::int32_t x) const { return x < min ? min : x > max ? max : x; }
};

/// All values of an 8-bit type.
[[nodiscard]] Range type_range(DType type);
/// The quantised values that a fused activation leaves. Source: kernel_util.cc CalculateActivationRangeQuantized.
[[nodiscard]] Range activation_range(Activation activation, DType type, const Quantization& output);

/// Nearest integer (halves away from zero), saturated to int32; NaN gives 0.
[[nodiscard]] std::int32_t round_to_i32(double x);

}  // namespace wayside::accel::cpu
