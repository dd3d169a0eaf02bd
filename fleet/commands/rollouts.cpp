// SPDX-License-Identifier: Apache-2.0
// Roll-outs on the command line.
#include "fleet/commands/rollouts.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "fleet/commands/rollout_view.h"
#include "fleet/commands/stop_signal.h"
#include "fleet/inventory.h"
#include "fleet/rollout/driver.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

constexpr int kStopped = 3, kRunsOn = 4;
constexpr std::int64_t kDay_s = 86'400;

struct Open {
  std::filesystem::path path;
  sql::Database database;
};

Result<Open> open(const FleetOptions& fleet) {
  WAYSIDE_TRY(auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  return Open{std::move(path), std::move(database)};
}

std::uint32_t permille(double percent) {
  return static_cast<std::uint32_t>(std::lround(std::clamp(percent, 0.0, 1000.0) * 10));
}

Result<ota::RolloutPolicy> make_policy(const PushOptions& options, std::int64_t now) {
  ota::RolloutPolicy policy;
  policy.id = options.id.empty() ? std::format("{}-{}-{}", options.name, options.version, now) : options.id;
  policy.role = options.role;
  policy.target_name = options.name;
  policy.target_version = options.version;
  policy.manifest_sha256 = options.manifest_sha256;
  for (std::size_t i = 0; i < options.waves_percent.size(); ++i) {
    const auto soak_s = options.soak_s.empty() ? 0 : options.soak_s[std::min(i, options.soak_s.size() - 1)];
    policy.waves.push_back({.permille = permille(options.waves_percent[i]), .soak_s = soak_s});
  }
  policy.halt = {.fail_permille = permille(options.fail_percent),
                 .min_executed = options.min_executed,
                 .disagree_permille = permille(options.disagree_percent),
                 .unreachable_permille = permille(options.unreachable_percent)};
  policy.success_permille = permille(options.success_percent);
  policy.max_in_flight = options.max_in_flight;
  policy.starts_per_min = options.starts_per_min;
  policy.device_timeout_s = options.device_timeout_s;
  policy.not_before_unix_s = now;
  policy.expires_unix_s = now + options.expires_days * kDay_s;
  policy.max_bytes = options.max_bytes;
  for (const auto& text : options.windows) {
    WAYSIDE_TRY(const auto window, ota::parse_day_window(text));
    policy.windows.push_back(window);
  }
  WAYSIDE_CHECK(ota::check(policy));
  return policy;
}

Result<std::vector<std::string>> cohort(sql::Database& database, const PushOptions& options) {
  WAYSIDE_TRY(const auto devices, Inventory(database).select({.group = options.group, .condition = options.where}));
  std::vector<std::string> ids;
  for (const auto& device : devices) {
    if (device.state != DeviceState::revoked) ids.push_back(device.id);
  }
  if (ids.empty()) return fail(Code::not_found, "no device is selected; see: wayside fleet list, and --group, --where");
  return ids;
}

/// Drives until the roll-out ends or Ctrl-C; the state of the roll-out then.
Result<RunState> drive(Open& open, const BrokerOptions& broker, const std::string& id, bool json) {
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

int print_status(Open& open, const FleetOptions& fleet, const std::string& id) {
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

int drive_and_report(Open& open, const FleetOptions& fleet, const BrokerOptions& broker, const std::string& id) {
  stop_on_signals();
  const auto state = drive(open, broker, id, fleet.json);
  if (!state) return complain(state.error());
  if (const int failed = print_status(open, fleet, id); failed != 0) return failed;
  if (*state == RunState::completed) return 0;
  if (*state == RunState::halted || *state == RunState::aborted) return kStopped;
  std::fprintf(stderr, "wayside fleet: stopped watching; go on with: wayside fleet rollout resume %s\n", id.c_str());
  return kRunsOn;
}

}  // namespace

int push_command(const FleetOptions& fleet, const PushOptions& options) {
  const auto now = unix_now();
  auto policy = make_policy(options, now);
  if (!policy) return complain(policy.error());
  auto opened = open(fleet);
  if (!opened) return complain(opened.error());
  const auto devices = cohort(opened->database, options);
  if (!devices) return complain(devices.error());
  ota::cut_waves(*policy, *devices);
  if (options.dry_run) {
    std::puts(plan_text(*policy, *devices, fleet.json).c_str());
    return 0;
  }
  RolloutStore store(opened->database);
  if (const auto made = store.create(*policy, ota::to_json(*policy), *devices, now); !made)
    return complain(made.error());
  if (options.detach) return print_status(*opened, fleet, policy->id);
  return drive_and_report(*opened, fleet, options.broker, policy->id);
}

int status_command(const FleetOptions& fleet, const std::string& id) {
  auto opened = open(fleet);
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
  auto opened = open(fleet);
  if (!opened) return complain(opened.error());
  const auto done = RolloutStore(opened->database).pause(options.id, unix_now());
  return done ? print_status(*opened, fleet, options.id) : complain(done.error());
}

int resume_command(const FleetOptions& fleet, const SteerOptions& options) {
  auto opened = open(fleet);
  if (!opened) return complain(opened.error());
  const auto done = RolloutStore(opened->database).resume(options.id, options.overrule, unix_now());
  if (!done) return complain(done.error());
  // Whoever drives already sees the change within one control interval.
  const bool driven = !RolloutLock::take(opened->path);
  if (options.detach || driven) return print_status(*opened, fleet, options.id);
  return drive_and_report(*opened, fleet, options.broker, options.id);
}

int abort_command(const FleetOptions& fleet, const SteerOptions& options) {
  auto opened = open(fleet);
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
  auto opened = open(fleet);
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
