// SPDX-License-Identifier: Apache-2.0
// Which wave of a roll-out a device belongs to: one hash, computed alike by the operator's tool and by the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace wayside::ota {

/// Positions are parts per million: fine enough that a wave of 0.1 % of 100 000 devices is 100 of them.
constexpr std::uint32_t kPositionCount = 1'000'000;

/// position = floor(u * 10^6 / 2^32), u = first four bytes, big-endian, of SHA-256(device 0x00 rollout 0x00 salt).
/// Uniform over devices for a fixed roll-out and independent between roll-outs, so that no device is always the canary.
/// The separators keep ("ab","c") and ("a","bc") apart; neither id may contain a NUL (mqtt::check_topic_level).
[[nodiscard]] std::uint32_t rollout_position_ppm(std::string_view device_id, std::string_view rollout_id,
                                                 std::string_view salt);

/// Index of the first wave whose bound lies above the position; nothing when the last wave leaves the device out.
/// `bounds_permille` are cumulative and rising: 10, 100, 1000 are waves of 1 %, the next 9 %, and the other 90 %.
[[nodiscard]] std::optional<std::size_t> wave_of(std::uint32_t position_ppm,
                                                 std::span<const std::uint32_t> bounds_permille);

}  // namespace wayside::ota
