// SPDX-License-Identifier: Apache-2.0
// Trust: is this manifest signed by whom the root allows, still valid, and meant for this device?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/manifest.h"
#include "ota/package/root.h"

namespace wayside::ota {

/// Signatures first, then everything else: bytes that nobody trusted has signed are not parsed. `now_unix_s`: the best
/// lower bound of the time that the device has (max of build time, last signed time seen, clock), so that a clock at
/// 1970 neither bricks nor opens a door. With `clock_plausible` false (the clock is known to be behind) a manifest from
/// "the future" is not refused for that. Refusals: root_expired, those of signatures and Manifest::parse, expired,
/// issued_in_future.
[[nodiscard]] Checked<Manifest> verify_manifest(std::string_view manifest, std::string_view signatures,
                                                const Root& root, std::int64_t now_unix_s, bool clock_plausible = true);
[[nodiscard]] Checked<Manifest> verify_manifest(const Envelope& envelope, const Root& root, std::int64_t now_unix_s,
                                                bool clock_plausible = true);

/// What this device is; probed, never taken from a message.
struct DeviceFacts {
  std::string board;
  std::vector<Runtime> runtimes;    ///< in order of preference
  std::uint64_t counter_floor = 0;  ///< highest security counter ever committed for the role
};

/// The variant to install: for the first of the device's runtimes that any variant fits, the first such variant.
/// Refusals: rollback, fast_forward, foreign_board, no_variant_for_runtime.
[[nodiscard]] Checked<const Variant*> choose_variant(const Manifest& manifest, const DeviceFacts& device);

}  // namespace wayside::ota
