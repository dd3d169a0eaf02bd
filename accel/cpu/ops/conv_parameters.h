// SPDX-License-Identifier: Apache-2.0
// Checks and requantisation parameters that all convolution-like operators share.
#pragma once

#include <cstdint>
#include <vector>

#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu::ops {

/// The most products that one int32 sum can hold whatever the values are: (2^31 - 2^30) / (255 * 255), leaving half of
/// the range to the bias. TFLite has no such check; the largest sums of real models have below 10,000 terms.
inline constexpr std::int64_t kMaxSumLength = 16'513;

/// How scale_in * scale_weight is rounded before the division by scale_out; the two differ in the last bit.
enum class ScaleProduct : std::uint8_t { in_float, in_double };

/// Input number `activations` and the output are 8-bit; input 1 is a constant of the same type with one scale, or one
/// for each of `channels` along `channel_dimension`.
[[nodiscard]] base::Result<void> check_filter(const NodeView& node, std::int32_t channel_dimension,
                                              std::int32_t channels, std::size_t activations = 0);

/// The i32 bias of `channels` values, or nothing when the input is left out. Refused when a sum of `sum_length`
/// products and the bias might leave int32. (Dead channels of real models hold 2^30: their weight scale is next to
/// nothing.)
[[nodiscard]] base::Result<std::vector<std::int32_t>> read_bias(const NodeView& node, std::size_t input,
                                                                std::int32_t channels, std::int64_t sum_length);

/// Multipliers scale_in * scale_weight[c] / scale_out, the output's zero point and its fused activation's range.
[[nodiscard]] base::Result<Requant> conv_requant(const NodeView& node, std::int32_t channels, ScaleProduct product,
                                                 std::size_t activations = 0);

}  // namespace wayside::accel::cpu::ops
