// SPDX-License-Identifier: Apache-2.0
// Requantisation constants for the vector kernels.
#include "accel/cpu/kernels/requant_pack.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace wayside::accel::cpu {
namespace {

constexpr std::int64_t kSumLimit = std::int64_t{1} << 30;

/// True when |x|*m + 2^30 + 2^(30+e) is no multiple of 2^(31+e) for any |x| <= sum_bound and e >= 1: that needs |x|*m
/// to hold exactly 30 factors of two.
bool ties_impossible(std::int32_t multiplier, std::int64_t sum_bound) {
  const auto sum_twos = std::bit_width(static_cast<std::uint64_t>(sum_bound)) - 1;
  return multiplier == 0 || std::countr_zero(static_cast<std::uint32_t>(multiplier)) + sum_twos < 30;
}

}  // namespace

std::optional<OutputStage> choose_stage(const ConvSpec& spec, std::int64_t sum_bound) {
  const auto& requant = spec.requant;
  const std::int32_t domain = spec.is_unsigned ? 128 : 0;
  OutputStage stage{.mode = requant.clamp_min == requant.zero_point ? RequantMode::rectified : RequantMode::symmetric,
                    .zero_point = static_cast<std::int16_t>(requant.zero_point - domain),
                    .clamp_min = static_cast<std::int8_t>(std::clamp(requant.clamp_min - domain, -128, 127)),
                    .clamp_max = static_cast<std::int8_t>(std::clamp(requant.clamp_max - domain, -128, 127)),
                    .flip = static_cast<std::uint8_t>(spec.is_unsigned ? 0x80 : 0)};
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(spec.out_c); ++channel) {
    const auto multiplier = requant.multiplier[channel];
    const auto shift = requant.shift[channel];
    if (multiplier < 0 || shift > 30 || shift < -31 || sum_bound >= (kSumLimit >> std::max(shift, 0))) {
      return std::nullopt;
    }
    if (shift >= 0) stage.mode = RequantMode::general;
    if (stage.mode == RequantMode::symmetric && !ties_impossible(multiplier, sum_bound)) {
      stage.mode = RequantMode::general;
    }
  }
  return stage;
}

void set_lane(RequantBlock& block, std::size_t lane, const Requant& requant, RequantMode mode, std::int32_t channel,
              std::int32_t bias) {
  const bool used = channel >= 0;
  const std::int32_t multiplier = used ? requant.multiplier[channel] : 0;
  const std::int32_t shift = used ? requant.shift[channel] : -1;
  const std::int32_t right = std::max(-shift, 0);
  const bool general = mode == RequantMode::general;
  assert(general || right >= 1);
  const std::int64_t first_half = std::int64_t{1} << 30;
  const std::int64_t round = general ? first_half : first_half + (first_half << right);
  block.bias[lane] = used ? bias : 0;
  block.multiplier[lane] = multiplier;
  if (lane % 2 == 1) block.multiplier_odd[lane - 1] = multiplier;
  (lane % 2 == 1 ? block.round_odd : block.round_even)[lane / 2] = round;
  block.right[lane] = general ? right : right - 1;
  block.left[lane] = std::max(shift, 0);
  block.half[lane] = right > 0 ? static_cast<std::int32_t>(1U << (right - 1)) : 0;
  block.sign_mask[lane] = right > 0 ? -1 : 0;
}

}  // namespace wayside::accel::cpu
