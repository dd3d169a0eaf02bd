// SPDX-License-Identifier: Apache-2.0
// Checks and requantisation parameters that all convolution-like operators share.
#pragma once

#include <cstdint>
#include <vector>

#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu::ops {

/// How scale_in * scale_weight is rounded before the division by scale_out; the two differ in the last bit.
enum class ScaleProduct : std::uint8_t { in_float, in_double };

/// Input number `activations` and the output are 8-bit; input 1 is a constant of the same type with one scale, or one
/// for each of `channels` along `channel_dimension`.
[[nodiscard]] base::Result<void> check_filter(const NodeView& node, std::int32_t channel_dimension,
                                              std::int32_t channels, std::size_t activations = 0);

/// The i32 bias of `channels` values, or nothing when the input is left out.
[[nodiscard]] base::Result<std::vector<std::int32_t>> read_bias(const NodeView& node, std::size_t input,
                                                                std::int32_t channels);

/// The sums of the weights, checked: none can leave int32, whatever the activations are: |bias[o]| + 255 * sum |w -
/// weight_zero| over the weights of channel o. `channel_is_last`: weights [..., channels] (depthwise) instead of
/// [channels, ...]. TFLite has no such check; real models pass it, though dead channels hold biases of 2^30
/// (vww_96_int8).
[[nodiscard]] base::Result<ConvSums> checked_sums(const Tensor& filter, const std::vector<std::int32_t>& bias,
                                                  std::int32_t channels, bool channel_is_last);

/// Multipliers scale_in * scale_weight[c] / scale_out, the output's zero point and its fused activation's range.
[[nodiscard]] base::Result<Requant> conv_requant(const NodeView& node, std::int32_t channels, ScaleProduct product,
                                                 std::size_t activations = 0);

}  // namespace wayside::accel::cpu::ops
