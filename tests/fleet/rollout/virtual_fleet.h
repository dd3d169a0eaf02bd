// SPDX-License-Identifier: Apache-2.0
// VirtualFleet: devices as numbers, which end their updates as a seeded draw says; drives the real store and engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fleet/rollout/store.h"

namespace wayside::fleet::test {

struct VirtualFleetOptions {
  std::size_t devices = 100'000;
  double fail_fraction = 0;      ///< of devices, by a hash of device and seed
  double disagree_fraction = 0;  ///< of the objects that each device compares
  std::uint64_t seed = 1;
  /// Of the devices in flight, the part that ends within one control interval.
  double finish_fraction = 0.5;
};

struct VirtualRun {
  Snapshot end;
  std::uint64_t commanded = 0;
  std::uint64_t most_in_flight = 0;
  /// Devices that ended after the first interval in which a limit was exceeded: what a halt came too late for.
  std::uint64_t overshoot = 0;
  std::uint64_t intervals_to_halt = 0;  ///< between a limit being exceeded and the halt
  std::int64_t virtual_seconds = 0;
};

[[nodiscard]] std::vector<std::string> virtual_device_ids(std::size_t count);

/// Policy with waves 1 %, 10 %, 50 %, 100 % for virtual fleets; limit 2 % failures.
[[nodiscard]] ota::RolloutPolicy virtual_policy(std::string id);

/// Drives until the roll-out is no longer running, one control interval of `policy`-time per step; aborts on a database
/// error. The cohort must have been created.
VirtualRun run_virtual(RolloutStore& store, const ota::RolloutPolicy& policy, const VirtualFleetOptions& options);

}  // namespace wayside::fleet::test
