// SPDX-License-Identifier: Apache-2.0
// RolloutPolicy: how an update spreads over a fleet; signed by the operator, enforced by the roll-out tool and the
// device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::ota {

/// Type of the envelope in which a policy travels.
inline constexpr std::string_view kRolloutPolicyType = "wayside-rollout/1";

/// One wave: all devices whose position (rollout_wave.h) lies below its bound and that no earlier wave holds.
struct Wave {
  std::uint32_t permille = 1000;  ///< of the fleet, this wave and all earlier ones
  std::uint64_t below = 0;        ///< the bound that cuts exactly there; used when RolloutPolicy::devices > 0
  std::int64_t soak_s = 0;        ///< how long its devices are watched before the next wave may start
};

/// When a roll-out stops by itself. Rates are counted over the whole roll-out, not per wave.
struct HaltLimits {
  std::uint32_t fail_permille = 20;          ///< more failed of those that ended
  std::uint32_t min_executed = 20;           ///< ... once so many have ended
  std::uint32_t disagree_permille = 80;      ///< more disagreeing of the objects compared in shadow mode
  std::uint64_t min_compared = 500;          ///< ... once so many were compared
  std::uint32_t unreachable_permille = 500;  ///< more devices of a wave that gave no result in time: the next must wait
};

/// Minutes of the day in UTC; `from` > `to` goes over midnight. Starting an update is allowed inside only.
struct DayWindow {
  std::uint16_t from_min = 0;
  std::uint16_t to_min = 0;
};

struct RolloutPolicy {
  std::string id;    ///< one topic level
  std::string salt;  ///< public; changes who is first when the same roll-out is done again
  std::string role;  ///< what the model is for ("detector")
  std::string target_name, target_version;
  std::string manifest_sha256;  ///< 64 hex digits: the signed manifest that devices are to install
  std::vector<Wave> waves;      ///< rising, at most kMaxWaves
  std::uint64_t devices = 0;    ///< size of the fleet that `below` was computed from; 0: bounds follow the percentages
  HaltLimits halt;
  std::uint32_t success_permille = 950;  ///< of those that ended in a wave, needed to go on to the next
  std::uint32_t max_in_flight = 200;     ///< commands without a result at any time: the bound of what a halt can miss
  std::uint32_t starts_per_min = 1000;
  std::int64_t device_timeout_s = 86'400;  ///< a device without a result after this is unreachable, and out of flight
  std::vector<DayWindow> windows;          ///< empty: at any time
  std::int64_t not_before_unix_s = 0;
  std::int64_t expires_unix_s = 0;
  std::uint64_t max_bytes = 0;  ///< a device may not fetch more for it; 0: no bound

  static constexpr std::size_t kMaxWaves = 32;
  static constexpr std::size_t kMaxWindows = 8;
  static constexpr std::size_t kMaxJsonBytes = 64 * 1024;
};

/// The bound of each wave, whether it was cut exactly or follows the percentage.
[[nodiscard]] std::vector<std::uint64_t> wave_bounds(const RolloutPolicy& policy);
/// Sets `devices` and each `below` so that every wave holds exactly its part of these devices, rounded up: a first wave
/// is never empty. Positions that two devices share go together.
void cut_waves(RolloutPolicy& policy, std::span<const std::string> device_ids);

/// Checks ranges and order; the message names the field and what it may be. A bound that is further from its percentage
/// than a hash can be (eight standard deviations of `devices` independent positions, and eight devices) is refused.
[[nodiscard]] base::Result<void> check(const RolloutPolicy& policy);

/// JSON with sorted keys and no blanks, so that equal policies are equal bytes: what is signed.
[[nodiscard]] std::string to_json(const RolloutPolicy& policy);
/// Untrusted text -> checked policy. Errors: corrupt (not JSON, wrong types), invalid_argument (ranges), unsupported
/// (another version of the format), exhausted (larger than kMaxJsonBytes). Unknown fields are ignored.
[[nodiscard]] base::Result<RolloutPolicy> parse_rollout_policy(std::string_view json);

/// "22:00-05:00" -> window. invalid_argument with the expected form.
[[nodiscard]] base::Result<DayWindow> parse_day_window(std::string_view text);
[[nodiscard]] std::string to_string(const DayWindow& window);
/// True when there are no windows, or one of them holds the time.
[[nodiscard]] bool inside_windows(const RolloutPolicy& policy, std::int64_t unix_s);

/// What a device decides from the signed policy alone. Whoever may send commands cannot open a wave early.
struct Admission {
  enum class Verdict {
    open,     ///< may start now
    not_yet,  ///< ask again at `earliest_unix_s`
    refused   ///< never under this policy
  };
  Verdict verdict = Verdict::refused;
  std::int64_t earliest_unix_s = 0;
  std::string why;  ///< one line; empty when open
};

/// The device's wave opens at not_before plus the soak times of all earlier waves: the operator's tool cannot be faster
/// than that either. `now_unix_s`: the device's best lower bound of the time, max(build, last signed time, clock).
[[nodiscard]] Admission admit(const RolloutPolicy& policy, std::string_view device_id, std::int64_t now_unix_s);

}  // namespace wayside::ota
