// SPDX-License-Identifier: Apache-2.0
// decide(): the brain of a roll-out. Pure: policy and counts in, what to do next out; knows no database and no broker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ota/rollout_policy.h"

namespace wayside::fleet {

/// running -> paused (operator) -> running; running -> halted (a limit) -> running (operator, on purpose);
/// any but completed -> aborted (operator); running -> completed. Aborted and completed are final.
enum class RunState { running, paused, halted, aborted, completed };
[[nodiscard]] std::string_view to_string(RunState state);
[[nodiscard]] std::optional<RunState> parse_run_state(std::string_view text);

/// Devices of one wave by their state; each device is in exactly one.
struct WaveCounts {
  std::uint64_t waiting = 0;      ///< not commanded yet
  std::uint64_t in_flight = 0;    ///< commanded, no result
  std::uint64_t unreachable = 0;  ///< commanded, no result in time; one may still come
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t withdrawn = 0;  ///< by an abort, before the device began
  [[nodiscard]] std::uint64_t total() const {
    return waiting + in_flight + unreachable + succeeded + failed + withdrawn;
  }
};

/// Results that halt limits are computed from.
struct Evidence {
  std::uint64_t executed = 0, failed = 0;     ///< devices
  std::uint64_t compared = 0, disagreed = 0;  ///< objects in shadow mode
};

struct Snapshot {
  RunState state = RunState::running;
  std::size_t wave = 0;                             ///< the one that may start devices
  std::optional<std::int64_t> wave_settled_unix_s;  ///< when its last device ended; set by decide()
  std::vector<WaveCounts> waves;                    ///< one per wave of the policy
  Evidence evidence;                                ///< since the start, or since the operator overruled a halt
  std::uint64_t starts_last_minute = 0;
  std::optional<std::size_t> overruled_wave;  ///< the operator let this wave and earlier ones pass
  std::int64_t now_unix_s = 0;
};

struct Decision {
  RunState state = RunState::running;
  std::size_t wave = 0;
  std::optional<std::int64_t> wave_settled_unix_s;
  std::uint64_t start = 0;  ///< so many devices of `wave` may be commanded now
  std::string why;          ///< of a halt, or what is being waited for; one line
};

/// Takes one step. Deterministic; called once per control interval and after each batch of results. Limits are looked
/// at before anything is started, so at most max_in_flight devices can be touched after a limit is exceeded.
[[nodiscard]] Decision decide(const ota::RolloutPolicy& policy, const Snapshot& snapshot);

}  // namespace wayside::fleet
