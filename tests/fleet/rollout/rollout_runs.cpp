// SPDX-License-Identifier: Apache-2.0
// rollout-runs: the pure engine with 100 000 virtual devices, many times: does a bad model stop in wave 1, does a good
// one pass? usage: rollout-runs [RUNS] [DEVICES]; prints "key value" lines, ends with 1 when a bar is missed.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <random>
#include <string>
#include <vector>

#include "fleet/rollout/decision.h"
#include "ota/rollout_wave.h"
#include "tests/support/arguments.h"
#include "tests/support/figures.h"

namespace {

using namespace wayside;
using fleet::RunState;

constexpr std::int64_t kInterval_s = 10;

ota::RolloutPolicy policy_of(int run) {
  ota::RolloutPolicy policy;
  policy.id = std::format("run-{}", run);
  policy.waves = {{.permille = 10, .soak_s = 60},
                  {.permille = 100, .soak_s = 60},
                  {.permille = 500, .soak_s = 60},
                  {.permille = 1000, .soak_s = 0}};
  policy.starts_per_min = 100'000;
  policy.expires_unix_s = 10'000'000;
  return policy;
}

struct Outcome {
  RunState state = RunState::running;
  std::size_t wave = 0;
  std::uint64_t overshoot = 0;       ///< results that came after a limit was exceeded
  std::uint64_t late_intervals = 0;  ///< control intervals that began with an exceeded limit and did not halt
  double worst_wave_percent = 0;     ///< wave sizes against the policy
};

Outcome run(int number, int devices, double fail_fraction) {
  auto policy = policy_of(number);
  std::vector<std::string> ids;
  for (int i = 0; i < devices; ++i) ids.push_back(std::format("dev-{:06}", i));
  ota::cut_waves(policy, ids);
  std::mt19937_64 random(static_cast<std::uint64_t>(number) * 7919 + 1);
  const auto bounds = ota::wave_bounds(policy);
  fleet::Snapshot seen;
  seen.waves.resize(bounds.size());
  for (const auto& id : ids)
    ++seen.waves[*ota::wave_of(ota::rollout_position(id, policy.id, policy.salt), bounds)].waiting;
  Outcome outcome;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    below += seen.waves[i].waiting;
    outcome.worst_wave_percent =
        std::max(outcome.worst_wave_percent,
                 std::abs(100.0 * static_cast<double>(below) / devices - policy.waves[i].permille / 10.0));
  }
  std::bernoulli_distribution fails(fail_fraction), ends(0.5);
  bool over = false;
  while (true) {
    const auto next = decide(policy, seen);
    outcome.late_intervals += over && next.state == RunState::running ? 1 : 0;
    seen.state = next.state;
    seen.wave = next.wave;
    seen.wave_settled_unix_s = next.wave_settled_unix_s;
    auto& wave = seen.waves[seen.wave];
    wave.waiting -= next.start;
    wave.in_flight += next.start;
    if (next.state != RunState::running && wave.in_flight == 0) break;
    for (std::uint64_t left = wave.in_flight; left > 0; --left) {
      if (!ends(random)) continue;
      const bool failed = fails(random);
      --wave.in_flight;
      ++(failed ? wave.failed : wave.succeeded);
      ++seen.evidence.executed;
      seen.evidence.failed += failed ? 1 : 0;
      outcome.overshoot += over ? 1 : 0;
    }
    // As the engine will see it at the next control interval; between two results the rate may be anything.
    over = over || (seen.evidence.executed >= policy.halt.min_executed &&
                    seen.evidence.failed * 1000 > seen.evidence.executed * policy.halt.fail_permille);
    seen.now_unix_s += kInterval_s;
  }
  outcome.state = seen.state;
  outcome.wave = seen.wave;
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  const auto numbers = testing_support::numbers(argc, argv, 2);
  if (!numbers) return std::fputs("rollout-runs: usage: rollout-runs [RUNS [DEVICES]]\n", stderr), 2;
  const auto [runs, devices] = std::pair(
      !numbers->empty() ? numbers->at(0) : testing_support::tries<int>({.test = 2, .quick = 5, .ci = 20, .full = 1000}),
      numbers->size() > 1 ? numbers->at(1) : 100'000);
  constexpr double kBad = 0.05, kGood = 0.002;
  constexpr double kWorstPercent = 0.5;
  int stopped = 0, completed = 0;
  std::uint64_t overshoot = 0, late = 0;
  double worst_percent = 0;
  for (int number = 0; number < runs; ++number) {
    const auto bad = run(number, devices, kBad);
    stopped += bad.state == RunState::halted && bad.wave == 0 ? 1 : 0;
    overshoot = std::max(overshoot, bad.overshoot);
    late += bad.late_intervals;
    worst_percent = std::max(worst_percent, bad.worst_wave_percent);
    const auto good = run(runs + number, devices, kGood);
    completed += good.state == RunState::completed ? 1 : 0;
    worst_percent = std::max(worst_percent, good.worst_wave_percent);
  }
  const auto report = [](const char* key, auto value) {
    std::printf("%s\n", std::format("{} {}", key, value).c_str());
    testing_support::figure(key, value);
  };
  report("bad_rollouts", runs);
  report("bad_rollouts_stopped_in_wave_1", stopped);
  report("bad_rollout_overshoot_devices_max", overshoot);
  report("bad_rollout_late_intervals", late);
  report("good_rollouts", runs);
  report("good_rollouts_completed", completed);
  report("wave_size_error_percent_max", worst_percent);
  const auto bound = policy_of(0).max_in_flight;
  return stopped == runs && overshoot <= bound && late == 0 && worst_percent <= kWorstPercent ? 0 : 1;
}
