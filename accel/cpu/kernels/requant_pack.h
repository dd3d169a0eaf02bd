// SPDX-License-Identifier: Apache-2.0
// From a Requant to the constants of the vector kernels, and the proof obligations that choose the cheapest exact form.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {

/// The cheapest exact mode, given the largest |sum| of each channel. nullopt: no vector form is exact (the reference is
/// used): a sum or its left shift can leave int32, or a multiplier is negative.
[[nodiscard]] std::optional<OutputStage> choose_stage(const ConvSpec& spec, std::span<const std::int64_t> sum_bounds);

/// Fills lane `lane` of `block` for output channel `channel`; channel < 0 makes an unused lane.
void set_lane(RequantBlock& block, std::size_t lane, const Requant& requant, RequantMode mode, std::int32_t channel,
              std::int32_t bias);

/// An output channel (< 0: an unused lane) and the largest magnitude of its sums.
struct BoundedChannel {
  std::int32_t channel = -1;
  std::int64_t sum_bound = 0;
};

/// Forms in single precision to try for a layer, the cheapest first. Which layers are worth the proof is the drivers'
/// choice.
[[nodiscard]] std::span<const RequantMode> float_modes(const OutputStage& stage);

/// Fills the constants of a lane for a form in single precision; false where no candidate is proven exact.
[[nodiscard]] bool set_float_lane(RequantBlock& block, std::size_t lane, const Requant& requant,
                                  const OutputStage& stage, BoundedChannel bounded, RequantMode mode, const Isa& isa);

}  // namespace wayside::accel::cpu
