// SPDX-License-Identifier: Apache-2.0
// `wayside fleet rollout|logs`: watching and steering roll-outs.
#pragma once

#include <filesystem>
#include <string>

#include "fleet/commands/output.h"

namespace wayside::fleet {

/// The fleet's database, and where it lies.
struct OpenFleet {
  std::filesystem::path path;
  sql::Database database;
};
base::Result<OpenFleet> open_fleet(const FleetOptions& fleet);

int print_status(OpenFleet& open, const FleetOptions& fleet, const std::string& id);
/// Drives the roll-out to its end or to Ctrl-C. Exit codes: 0 completed, 1 failed, 3 halted or aborted, 4 stopped while
/// it runs on.
int drive_and_report(OpenFleet& open, const FleetOptions& fleet, const BrokerOptions& broker, const std::string& id);

struct SteerOptions {
  BrokerOptions broker;
  std::string id;
  bool overrule = false, detach = false;
};
int status_command(const FleetOptions& fleet, const std::string& id);
int pause_command(const FleetOptions& fleet, const SteerOptions& options);
/// Goes on driving, unless detached or another process does.
int resume_command(const FleetOptions& fleet, const SteerOptions& options);
int abort_command(const FleetOptions& fleet, const SteerOptions& options);
int logs_command(const FleetOptions& fleet, const std::string& id, const std::string& device);

}  // namespace wayside::fleet
