// SPDX-License-Identifier: Apache-2.0
// From real scales to fixed point.
#include "accel/cpu/quantization.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace wayside::accel::cpu {

std::optional<Multiplier> quantize_multiplier(double real) {
  constexpr int kMinShift = -31, kMaxShift = 30;  // beyond: all bits shifted out, or overflow for any input
  if (real == 0) return Multiplier{};
  if (!std::isfinite(real)) return std::nullopt;
  int shift = 0;
  const double fraction = std::frexp(real, &shift);
  auto value = static_cast<std::int64_t>(std::round(fraction * static_cast<double>(std::int64_t{1} << 31)));
  if (value == std::int64_t{1} << 31) {
    value /= 2;
    ++shift;
  }
  if (value == -(std::int64_t{1} << 31)) {  // only for negative factors; keeps |value| < 2^31
    value /= 2;
    ++shift;
  }
  if (shift < kMinShift) return Multiplier{};
  if (shift > kMaxShift) {
    constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
    return Multiplier{real > 0 ? kLargest : -kLargest, kMaxShift};
  }
  return Multiplier{static_cast<std::int32_t>(value), shift};
}

Range type_range(DType type) { return type == DType::u8 ? Range{0, 255} : Range{-128, 127}; }

Range activation_range(Activation activation, DType type, const Quantization& output) {
  const auto quantize = [&](float real) {
    const auto rounded = std::int64_t{round_to_i32(std::round(real / output.scale))} + output.zero_point;
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(rounded, std::numeric_limits<std::int32_t>::min(),
                                                              std::numeric_limits<std::int32_t>::max()));
  };
  Range range = type_range(type);
  const Range all = range;
  if (activation == Activation::relu || activation == Activation::relu6) range.min = std::max(range.min, quantize(0));
  if (activation == Activation::relu6) range.max = std::min(range.max, quantize(6));
  if (activation == Activation::relu_n1_to_1) {
    range.min = std::max(range.min, quantize(-1));
    range.max = std::min(range.max, quantize(1));
  }
  // A zero point far off the activation's interval leaves a single value; keep min <= max and inside the type.
  range.max = all.clamp(range.max);
  range.min = std::min(all.clamp(range.min), range.max);
  return range;
}

std::int32_t round_to_i32(double x) {
  if (std::isnan(x)) return 0;
  constexpr double kMin = std::numeric_limits<std::int32_t>::min(), kMax = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::clamp(std::round(x), kMin, kMax));
}

}  // namespace wayside::accel::cpu
