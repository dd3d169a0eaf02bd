// SPDX-License-Identifier: Apache-2.0
// Requantisation constants for the vector kernels.
#include "accel/cpu/kernels/requant_pack.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

namespace wayside::accel::cpu {
namespace {

constexpr std::int64_t kInt32Limit = std::int64_t{1} << 31;

/// True when |x|*m + 2^30 + 2^(30+e) is no multiple of 2^(31+e) for any |x| <= sum_bound and e >= 1: that needs |x|*m
/// to hold exactly 30 factors of two.
bool ties_impossible(std::int32_t multiplier, std::int64_t sum_bound) {
  const auto sum_twos = std::bit_width(static_cast<std::uint64_t>(sum_bound)) - 1;
  return multiplier == 0 || std::countr_zero(static_cast<std::uint32_t>(multiplier)) + sum_twos < 30;
}

/// Neighbours of the rounded constants to try, in units in the last place of (scale, offset), the nearest first.
constexpr std::pair<int, int> kFloatCandidates[] = {
    {0, 0},  {0, 1}, {0, -1},  {1, 0},  {-1, 0}, {1, -1}, {-1, 1}, {0, 2}, {0, -2}, {1, -2}, {-1, 2}, {2, 0},
    {-2, 0}, {1, 1}, {-1, -1}, {2, -1}, {-2, 1}, {2, -2}, {-2, 2}, {0, 3}, {0, -3}, {1, -3}, {-1, 3}};

/// A multiplier of 0 gives 0 whatever the shift: one that fits all forms.
std::int32_t effective_shift(const Requant& requant, std::size_t channel) {
  return requant.multiplier[channel] == 0 ? -1 : requant.shift[channel];
}

}  // namespace

std::optional<OutputStage> choose_stage(const ConvSpec& spec, std::span<const std::int64_t> sum_bounds) {
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
    if (multiplier == 0) continue;  // as TFLite writes a scale below 2^-32: the result is the zero point
    if (multiplier < 0 || shift > 30 || shift < -31 || sum_bounds[channel] >= kInt32Limit) return std::nullopt;
    if (shift >= 0) stage.mode = RequantMode::general;
    if (stage.mode == RequantMode::symmetric && !ties_impossible(multiplier, sum_bounds[channel])) {
      stage.mode = RequantMode::general;
    }
  }
  for (std::size_t channel = 0; channel < sum_bounds.size() && stage.mode == RequantMode::general; ++channel) {
    const auto shift = effective_shift(requant, channel);
    const std::int64_t half = shift < 0 ? std::int64_t{1} << (-shift - 1) : 0;
    if ((sum_bounds[channel] << std::max(shift, 0)) + half >= kInt32Limit) return std::nullopt;
  }
  return stage;
}

void set_lane(RequantBlock& block, std::size_t lane, const Requant& requant, RequantMode mode, std::int32_t channel,
              std::int32_t bias) {
  const bool used = channel >= 0;
  const std::int32_t multiplier = used ? requant.multiplier[channel] : 0;
  const std::int32_t shift = used ? effective_shift(requant, channel) : -1;
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

std::span<const RequantMode> float_modes(const OutputStage& stage) {
  static constexpr RequantMode kRectified[] = {RequantMode::floating, RequantMode::precise};
  static constexpr RequantMode kSigned[] = {RequantMode::floating_signed, RequantMode::precise_signed};
  if (stage.clamp_min == stage.zero_point) return kRectified;
  const std::span all(kSigned);
  return stage.mode == RequantMode::symmetric ? all : all.last(1);  // the first is symmetric itself
}

bool set_float_lane(RequantBlock& block, std::size_t lane, const Requant& requant, const OutputStage& stage,
                    BoundedChannel bounded, RequantMode mode, const Isa& isa) {
  const bool is_signed = mode == RequantMode::floating_signed || mode == RequantMode::precise_signed;
  const std::int32_t zero_point = mode == RequantMode::floating ? stage.zero_point : 0;
  block.scale[lane] = 0;
  block.scale_low[lane] = 0;
  block.offset[lane] = static_cast<float>(zero_point);
  if (bounded.channel < 0 || requant.multiplier[bounded.channel] == 0) return true;
  const std::int32_t multiplier = requant.multiplier[bounded.channel];
  const std::int32_t right = -requant.shift[bounded.channel];
  if (isa.float_is_exact == nullptr || right < 1) return false;
  const double unit = std::ldexp(1.0, 31 + right);
  const double half = std::ldexp(1.0, 30 + right), first_half = std::ldexp(1.0, 30);
  FloatProof proof{.mode = mode,
                   .step = unit / multiplier,
                   .start = -(half + first_half) / multiplier,
                   .start_below = -(half - first_half) / multiplier,
                   .zero_point = zero_point};
  // Steps that no sum reaches do not matter, but for the first of them, which must not come too early.
  const double reached = std::floor((static_cast<double>(bounded.sum_bound) - proof.start) / proof.step) + 1;
  const std::int32_t above = stage.clamp_max - stage.zero_point;
  const std::int32_t below = is_signed ? stage.zero_point - stage.clamp_min : 0;
  const auto within_reach = [&](std::int32_t steps) {
    return static_cast<std::int32_t>(std::min<double>(steps, reached));
  };
  // A channel whose sums never reach the first step (quantisers leave such dead ones) is constant.
  if (reached <= 1 && static_cast<double>(bounded.sum_bound) < proof.step + proof.start - 1) return true;
  if (is_precise(mode)) {
    proof.last_step = within_reach(above);
    proof.first_step = 1 - within_reach(below);
    // Sums beyond are no single-precision numbers any more, and a double cannot place a step of theirs exactly enough.
    if (proof.step * std::max(proof.last_step, 1 - proof.first_step) >= std::ldexp(1.0, 24)) return false;
    constexpr std::int32_t kLowBits = 0x7F;  // leaves 24 of 31
    const double factor = is_signed ? 2 : 1;
    proof.scale = static_cast<float>((multiplier & ~kLowBits) / unit * factor);
    proof.scale_low = static_cast<float>((multiplier & kLowBits) / unit * factor);
    proof.offset = static_cast<float>(is_signed ? 2 * first_half / unit : (half + first_half) / unit);
    if (!isa.float_is_exact(proof)) return false;
    block.scale[lane] = proof.scale;
    block.scale_low[lane] = proof.scale_low;
    block.offset[lane] = proof.offset;
    return true;
  }
  proof.last_step = within_reach(std::max(above, below));  // the negative side is its mirror image
  // Beyond 2^21 a double cannot place a step between integers to within 1 / multiplier any more.
  if (proof.step * proof.last_step >= std::ldexp(1.0, 21)) return false;
  const auto scale = static_cast<float>(multiplier / unit);
  const auto offset = static_cast<float>(zero_point + (first_half / unit));
  const float scale_ulp = std::nextafter(scale, 1.0F) - scale;
  const float offset_ulp = std::nextafter(std::abs(offset), std::numeric_limits<float>::max()) - std::abs(offset);
  for (const auto& [scale_steps, offset_steps] : kFloatCandidates) {
    proof.scale = scale + (static_cast<float>(scale_steps) * scale_ulp);
    proof.offset = offset + (static_cast<float>(offset_steps) * offset_ulp);
    if (!isa.float_is_exact(proof)) continue;
    block.scale[lane] = proof.scale;
    block.offset[lane] = proof.offset;
    return true;
  }
  return false;
}

}  // namespace wayside::accel::cpu
