// SPDX-License-Identifier: Apache-2.0
// Roll-outs on the command line.
#include "fleet/commands/rollouts.h"

#include <format>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "fleet/commands/rollout_view.h"
#include "fleet/commands/stop_signal.h"
#include "fleet/rollout/driver.h"

namespace wayside::fleet {
namespace {

using base::Result;
using Json = nlohmann::json;

constexpr int kStopped = 3, kRunsOn = 4;

/// Drives until the roll-out ends or Ctrl-C; the state of the roll-out then.
Result<RunState> drive(OpenFleet& open, const BrokerOptions& broker, const std::string& id, bool json) {
  WAYSIDE_TRY(const auto lock, RolloutLock::take(open.path));
  RolloutStore store(open.database);
  DriverOptions options;
  options.mqtt = broker.client();
  options.root = broker.root;
  WAYSIDE_TRY(auto driver, Driver::create(store, id, options, base::Clock::real()));
  WAYSIDE_TRY(const auto rollout, store.load(id));
  RolloutView view(rollout.policy, json);
  while (!stop_requested()) {
    WAYSIDE_TRY(const bool done, driver->poll(std::chrono::milliseconds(100)));
    view.draw(driver->view(), base::Clock::real().now());
    if (done) break;
  }
  view.finish(driver->view());
  driver->close(std::chrono::seconds(5));
  return driver->view().snapshot.state;
}

}  // namespace

Result<OpenFleet> open_fleet(const FleetOptions& fleet) {
  WAYSIDE_TRY(auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  return OpenFleet{std::move(path), std::move(database)};
}

int print_status(OpenFleet& open, const FleetOptions& fleet, const std::string& id) {
  RolloutStore store(open.database);
  const auto rollout = store.load(id);
  if (!rollout) return complain(rollout.error());
  const auto seen = store.snapshot(rollout->policy, unix_now());
  if (!seen) return complain(seen.error());
  if (fleet.json)
    std::puts(rollout_json(*rollout, *seen).c_str());
  else
    std::puts(rollout_text(*rollout, *seen).c_str());
  return 0;
}

int drive_and_report(OpenFleet& open, const FleetOptions& fleet, const BrokerOptions& broker, const std::string& id) {
  stop_on_signals();
  const auto state = drive(open, broker, id, fleet.json);
  if (!state) return complain(state.error());
  if (const int failed = print_status(open, fleet, id); failed != 0) return failed;
  if (*state == RunState::completed) return 0;
  if (*state == RunState::halted || *state == RunState::aborted) return kStopped;
  std::fprintf(stderr, "wayside fleet: stopped watching; go on with: wayside fleet rollout resume %s\n", id.c_str());
  return kRunsOn;
}

int status_command(const FleetOptions& fleet, const std::string& id) {
  auto opened = open_fleet(fleet);
  if (!opened) return complain(opened.error());
  if (!id.empty()) return print_status(*opened, fleet, id);
  RolloutStore store(opened->database);
  const auto ids = store.ids();
  if (!ids) return complain(ids.error());
  Json all = Json::array();
  for (const auto& one : *ids) {
    const auto rollout = store.load(one);
    if (!rollout) return complain(rollout.error());
    const std::string state(to_string(rollout->state));
    all.push_back({{"id", one}, {"state", state}, {"why", rollout->why}});
    if (!fleet.json) std::printf("%-32s %-10s %s\n", one.c_str(), state.c_str(), rollout->why.c_str());
  }
  if (fleet.json) std::puts(all.dump().c_str());
  return 0;
}

int pause_command(const FleetOptions& fleet, const SteerOptions& options) {
  auto opened = open_fleet(fleet);
  if (!opened) return complain(opened.error());
  const auto done = RolloutStore(opened->database).pause(options.id, unix_now());
  return done ? print_status(*opened, fleet, options.id) : complain(done.error());
}

int resume_command(const FleetOptions& fleet, const SteerOptions& options) {
  auto opened = open_fleet(fleet);
  if (!opened) return complain(opened.error());
  const auto done = RolloutStore(opened->database).resume(options.id, options.overrule, unix_now());
  if (!done) return complain(done.error());
  // Whoever drives already sees the change within one control interval.
  const bool driven = !RolloutLock::take(opened->path);
  if (options.detach || driven) return print_status(*opened, fleet, options.id);
  return drive_and_report(*opened, fleet, options.broker, options.id);
}

int abort_command(const FleetOptions& fleet, const SteerOptions& options) {
  auto opened = open_fleet(fleet);
  if (!opened) return complain(opened.error());
  const auto done = RolloutStore(opened->database).abort(options.id, unix_now());
  if (!done) return complain(done.error());
  const bool driven = !RolloutLock::take(opened->path);
  if (options.detach || driven) return print_status(*opened, fleet, options.id);
  // Nobody drives: the commands must be taken back by us.
  const int code = drive_and_report(*opened, fleet, options.broker, options.id);
  return code == kStopped ? 0 : code;
}

int logs_command(const FleetOptions& fleet, const std::string& id, const std::string& device) {
  auto opened = open_fleet(fleet);
  if (!opened) return complain(opened.error());
  RolloutStore store(opened->database);
  if (const auto rollout = store.load(id); !rollout) return complain(rollout.error());
  const auto lines = store.log(id, device);
  if (!lines) return complain(lines.error());
  Json all = Json::array();
  for (const auto& line : *lines) {
    const auto time = base::rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(line.unix_s)));
    if (fleet.json)
      all.push_back({{"time", time}, {"device", line.device}, {"line", line.line}});
    else
      std::printf("%s %-24s %s\n", time.c_str(), line.device.empty() ? "-" : line.device.c_str(), line.line.c_str());
  }
  if (fleet.json) std::puts(all.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  return 0;
}

}  // namespace wayside::fleet
