// SPDX-License-Identifier: Apache-2.0
// `wayside fleet push`: from a package file to a signed, priced and watched roll-out.
#pragma once

#include <string>
#include <vector>

#include "fleet/commands/output.h"

namespace wayside::fleet {

struct PushOptions {
  BrokerOptions broker;
  std::string target;              ///< package file, or hash of the manifest of one that was pushed before
  std::vector<std::string> roots;  ///< root documents, oldest first
  std::vector<std::string> keys;   ///< private keys of the root's role `rollouts`
  std::string repository;          ///< folder of the chunk servers; empty: somebody else publishes the files
  std::string group, where;
  std::string id;  ///< empty: from name, version and the time
  std::vector<double> waves_percent{1, 10, 50, 100};
  std::vector<std::int64_t> soak_s{600};  ///< one per wave; the last is used for the rest
  double fail_percent = 2, disagree_percent = 8, success_percent = 95, unreachable_percent = 50;
  std::uint32_t min_executed = 20;
  std::uint32_t max_in_flight = 200, starts_per_min = 1000;
  std::int64_t device_timeout_s = 86'400, expires_days = 14;
  std::vector<std::string> windows;
  std::uint64_t max_bytes = 0;
  bool dry_run = false, detach = false, offline = false;
};
/// Exit codes: 0 completed (or planned, or detached), 1 failed, 3 halted or aborted, 4 stopped while it runs on.
int push_command(const FleetOptions& fleet, const PushOptions& options);

}  // namespace wayside::fleet
