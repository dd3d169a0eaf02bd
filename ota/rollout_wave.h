// SPDX-License-Identifier: Apache-2.0
// Which wave of a roll-out a device belongs to: one hash, computed alike by the operator's tool and by the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace wayside::ota {

/// Positions are 0 to this, exclusive: of 100 000 devices about one pair shares a position.
constexpr std::uint64_t kPositionCount = std::uint64_t{1} << 32U;

/// The first four bytes, big-endian, of SHA-256(device 0x00 rollout 0x00 salt).
/// Uniform over devices for a fixed roll-out and independent between roll-outs, so that no device is always the canary.
/// The separators keep ("ab","c") and ("a","bc") apart; neither id may contain a NUL (mqtt::check_topic_level).
[[nodiscard]] std::uint32_t rollout_position(std::string_view device_id, std::string_view rollout_id,
                                             std::string_view salt);

/// Index of the first wave whose bound lies above the position; nothing when the last wave leaves the device out.
/// Bounds are cumulative: see wave_bounds() in ota/rollout_policy.h.
[[nodiscard]] std::optional<std::size_t> wave_of(std::uint32_t position, std::span<const std::uint64_t> bounds);

}  // namespace wayside::ota
