// SPDX-License-Identifier: Apache-2.0
// Halt limits, waves and quotas.
#include "fleet/rollout/decision.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <format>

namespace wayside::fleet {
namespace {

constexpr std::array<std::string_view, 5> kStates{"running", "paused", "halted", "aborted", "completed"};

/// part / whole > permille / 1000, in integers.
bool above(std::uint64_t part, std::uint64_t whole, std::uint64_t permille) { return part * 1000 > whole * permille; }

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

/// Why the roll-out must stop now; empty when it need not.
std::string halt_reason(const ota::RolloutPolicy& policy, const Snapshot& snapshot) {
  const auto& halt = policy.halt;
  const auto& seen = snapshot.evidence;
  if (seen.executed >= halt.min_executed && above(seen.failed, seen.executed, halt.fail_permille))
    return std::format("{} of {} devices failed ({:.1f} %, limit {:.1f} %)", seen.failed, seen.executed,
                       percent(seen.failed, seen.executed), halt.fail_permille / 10.0);
  if (seen.compared >= halt.min_compared && above(seen.disagreed, seen.compared, halt.disagree_permille))
    return std::format("old and new model disagree on {:.1f} % of {} objects (limit {:.1f} %)",
                       percent(seen.disagreed, seen.compared), seen.compared, halt.disagree_permille / 10.0);
  if (snapshot.now_unix_s >= policy.expires_unix_s) return "the signed policy has expired";
  return {};
}

Decision halted(const Snapshot& snapshot, std::string why) {
  return {RunState::halted, snapshot.wave, snapshot.wave_settled_unix_s, 0, std::move(why)};
}

/// The wave has no device that waits or is in flight: go on, wait, or stop.
Decision after_wave(const ota::RolloutPolicy& policy, const Snapshot& snapshot) {
  const WaveCounts& counts = snapshot.waves[snapshot.wave];
  const std::uint64_t ended = counts.succeeded + counts.failed;
  const bool overruled = snapshot.overruled_wave && snapshot.wave <= *snapshot.overruled_wave;
  if (!overruled && ended > 0 && above(ended - counts.succeeded, ended, 1000 - policy.success_permille))
    return halted(snapshot, std::format("wave {}: {:.1f} % succeeded, {:.1f} % are needed", snapshot.wave + 1,
                                        percent(counts.succeeded, ended), policy.success_permille / 10.0));
  Decision decision{RunState::running, snapshot.wave, snapshot.wave_settled_unix_s, 0, {}};
  if (above(counts.unreachable, counts.total(), policy.halt.unreachable_permille)) {
    decision.why = std::format("wave {}: waiting for {} unreachable devices", snapshot.wave + 1, counts.unreachable);
    return decision;
  }
  if (!decision.wave_settled_unix_s) decision.wave_settled_unix_s = snapshot.now_unix_s;
  const std::int64_t left_s = *decision.wave_settled_unix_s + policy.waves[snapshot.wave].soak_s - snapshot.now_unix_s;
  const bool last = snapshot.wave + 1 == snapshot.waves.size();
  // A wave without devices proves nothing and is not waited for; neither is the last one: nothing follows it.
  if (left_s > 0 && counts.total() > 0 && !last) {
    decision.why = std::format("wave {} is watched for another {} s", snapshot.wave + 1, left_s);
    return decision;
  }
  if (last) {
    decision.state = RunState::completed;
  } else {
    ++decision.wave;
    decision.wave_settled_unix_s.reset();
  }
  return decision;
}

std::uint64_t quota(const ota::RolloutPolicy& policy, const Snapshot& snapshot) {
  std::uint64_t in_flight = 0;
  for (const auto& wave : snapshot.waves) in_flight += wave.in_flight;
  const auto left = [](std::uint64_t limit, std::uint64_t used) { return limit > used ? limit - used : 0; };
  return std::min({snapshot.waves[snapshot.wave].waiting, left(policy.max_in_flight, in_flight),
                   left(policy.starts_per_min, snapshot.starts_last_minute)});
}

}  // namespace

std::string_view to_string(RunState state) { return kStates[static_cast<std::size_t>(state)]; }

std::optional<RunState> parse_run_state(std::string_view text) {
  const auto* const found = std::ranges::find(kStates, text);
  if (found == kStates.end()) return std::nullopt;
  return static_cast<RunState>(found - kStates.begin());
}

Decision decide(const ota::RolloutPolicy& policy, const Snapshot& snapshot) {
  assert(snapshot.waves.size() == policy.waves.size() && snapshot.wave < snapshot.waves.size());
  Decision same{snapshot.state, snapshot.wave, snapshot.wave_settled_unix_s, 0, {}};
  if (snapshot.state != RunState::running && snapshot.state != RunState::paused) return same;
  // A paused roll-out still notices that it went wrong: resuming must not hide that.
  if (auto why = halt_reason(policy, snapshot); !why.empty()) return halted(snapshot, std::move(why));
  if (snapshot.state == RunState::paused) return same;
  const WaveCounts& counts = snapshot.waves[snapshot.wave];
  if (counts.waiting + counts.in_flight == 0) return after_wave(policy, snapshot);
  same.wave_settled_unix_s.reset();  // a late device of a settled wave was commanded again
  if (snapshot.now_unix_s < policy.not_before_unix_s) {
    same.why = std::format("starts in {} s", policy.not_before_unix_s - snapshot.now_unix_s);
  } else if (!ota::inside_windows(policy, snapshot.now_unix_s)) {
    same.why = "outside the maintenance windows";
  } else {
    same.start = quota(policy, snapshot);
  }
  return same;
}

}  // namespace wayside::fleet
