// SPDX-License-Identifier: Apache-2.0
// The loop of a virtual roll-out.
#include "tests/fleet/rollout/virtual_fleet.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <random>

#include "ota/rollout_wave.h"

namespace wayside::fleet::test {
namespace {

constexpr std::int64_t kInterval_s = 10;
constexpr std::uint64_t kObjects = 100;  ///< compared by each device in shadow mode

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "virtual fleet: %s\n", result.error().message.c_str());
    std::abort();
  }
  return std::move(*result);
}

bool exceeded(const ota::RolloutPolicy& policy, const Snapshot& seen) {
  const auto& evidence = seen.evidence;
  return (evidence.executed >= policy.halt.min_executed &&
          evidence.failed * 1000 > evidence.executed * policy.halt.fail_permille) ||
         (evidence.compared >= policy.halt.min_compared &&
          evidence.disagreed * 1000 > evidence.compared * policy.halt.disagree_permille);
}

DeviceReport result_of(const std::string& device, const ota::RolloutPolicy& policy,
                       const VirtualFleetOptions& options) {
  // A second, independent hash of the same kind decides the device's fate.
  const auto draw = ota::rollout_position(device, "fate", std::to_string(options.seed));
  const bool fails = draw < options.fail_fraction * static_cast<double>(ota::kPositionCount);
  return {.status = fails ? "failed" : "successful",
          .seq = 3,
          .manifest_sha256 = policy.manifest_sha256,
          .step = fails ? "golden" : "commit",
          .code = fails ? "E-GATE-GOLDEN" : "",
          .compared = kObjects,
          .disagreed = static_cast<std::uint64_t>(options.disagree_fraction * kObjects)};
}

}  // namespace

std::vector<std::string> virtual_device_ids(std::size_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  for (std::size_t i = 0; i < count; ++i) ids.push_back(std::format("dev-{:06}", i));
  return ids;
}

ota::RolloutPolicy virtual_policy(std::string id) {
  ota::RolloutPolicy policy;
  policy.id = std::move(id);
  policy.role = "detector";
  policy.manifest_sha256 = std::string(64, 'a');
  policy.waves = {{.permille = 10, .soak_s = 60},
                  {.permille = 100, .soak_s = 60},
                  {.permille = 500, .soak_s = 60},
                  {.permille = 1000, .soak_s = 0}};
  policy.max_in_flight = 200;
  policy.starts_per_min = 100'000;
  policy.expires_unix_s = 1'000'000;
  return policy;
}

VirtualRun run_virtual(RolloutStore& store, const ota::RolloutPolicy& policy, const VirtualFleetOptions& options) {
  VirtualRun run;
  std::mt19937_64 random(options.seed);
  bool over = false;
  for (std::int64_t now = 0;; now += kInterval_s) {
    const Step step = must(store.step(policy, now));
    run.commanded += step.start.size();
    run.virtual_seconds = now;
    run.end = must(store.snapshot(policy, now));
    std::uint64_t in_flight = 0;
    for (const auto& wave : run.end.waves) in_flight += wave.in_flight;
    run.most_in_flight = std::max(run.most_in_flight, in_flight);
    if (over && step.decision.state == RunState::running) ++run.intervals_to_halt;
    if (step.decision.state != RunState::running && in_flight == 0) return run;
    auto devices = must(store.in_flight(policy.id));
    std::ranges::shuffle(devices, random);
    const auto ending = static_cast<std::size_t>(options.finish_fraction * static_cast<double>(devices.size())) + 1;
    devices.resize(std::min(devices.size(), ending));
    if (over) run.overshoot += devices.size();
    const auto recorded = store.batch([&]() -> base::Result<void> {
      for (const auto& device : devices)
        WAYSIDE_CHECK(store.record(policy.id, device, result_of(device, policy, options), policy.manifest_sha256, now));
      return {};
    });
    if (!recorded) std::abort();
    over = over || exceeded(policy, must(store.snapshot(policy, now)));
  }
}

}  // namespace wayside::fleet::test
