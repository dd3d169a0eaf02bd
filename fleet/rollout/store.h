// SPDX-License-Identifier: Apache-2.0
// RolloutStore: roll-outs in SQLite. Everything that matters is committed before it is acted upon, so that the tool can
// be killed and started again at any point.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/rollout/decision.h"
#include "fleet/sql/database.h"
#include "ota/rollout_policy.h"

namespace wayside::fleet {

/// waiting -> in_flight -> succeeded | failed; in_flight -> unreachable (time) -> succeeded | failed;
/// in_flight, before the device began -> waiting (halt) or withdrawn (abort). A late result counts from any commanded
/// state.
enum class TargetState { waiting, in_flight, unreachable, succeeded, failed, withdrawn };
[[nodiscard]] std::string_view to_string(TargetState state);

/// What a device said about its update.
struct DeviceReport {
  std::string status;    ///< "download", "trial", ..., and the two terminal ones "successful" and "failed"
  std::int64_t seq = 0;  ///< grows with every message of the device about this command
  std::string manifest_sha256;
  std::string step, code, reason;
  std::int64_t progress_percent = 0;
  std::uint64_t compared = 0, disagreed = 0;  ///< shadow mode
  std::uint64_t bytes = 0;                    ///< fetched so far
};

enum class Recorded {
  progress,   ///< noted
  terminal,   ///< the device's result, counted once; durable when the transaction ends
  duplicate,  ///< known already, or older than what is known
  phantom     ///< the device was never commanded, or reports another manifest: noted in the log, not counted
};

struct Target {
  std::string device;
  std::size_t wave = 0;
  TargetState state = TargetState::waiting;
  std::string status, step, code, reason;
  std::int64_t progress_percent = 0;
  std::uint64_t bytes = 0;
};

struct Rollout {
  ota::RolloutPolicy policy;
  std::string envelope;  ///< the signed policy as published; opaque here
  std::string manifest;  ///< the signed manifest as published; empty: devices have it from elsewhere
  RunState state = RunState::running;
  std::string why;
  std::int64_t created_unix_s = 0;
};

/// What step() has already written and the caller must now publish; publishing it again does no harm.
struct Step {
  Decision decision;
  std::vector<std::string> start;   ///< devices to command
  std::vector<std::string> recall;  ///< devices whose command is to be taken back
};

struct LogLine {
  std::int64_t unix_s = 0;
  std::string device, line;
};

class RolloutStore {
 public:
  explicit RolloutStore(sql::Database& database) : database_(database) {}

  /// Freezes the cohort: these devices, each in the wave that its hash says; those beyond the last wave are left out.
  /// Devices that are enrolled later do not join. bad_state: the id was used before.
  base::Result<void> create(const ota::RolloutPolicy& policy, const std::string& envelope,
                            const std::vector<std::string>& devices, std::int64_t now_unix_s);
  /// Keeps a signed manifest (an ota::Envelope) under the hash of its body; drivers publish it to the devices.
  base::Result<void> put_manifest(std::string_view sha256, const std::string& envelope);
  /// Empty when it was never put.
  base::Result<std::string> manifest(std::string_view sha256);
  base::Result<std::vector<std::string>> ids();
  base::Result<Rollout> load(std::string_view id);
  base::Result<Snapshot> snapshot(const ota::RolloutPolicy& policy, std::int64_t now_unix_s);

  /// One control interval in one transaction: time-outs, decide(), new state, devices to command. A halt or abort takes
  /// back the commands that no device has begun.
  base::Result<Step> step(const ota::RolloutPolicy& policy, std::int64_t now_unix_s);
  base::Result<std::vector<std::string>> in_flight(std::string_view id);
  /// Commanded and never heard of since: to be commanded again after a reconnect, as the broker may have forgotten.
  base::Result<std::vector<std::string>> unheard(std::string_view id);
  base::Result<Recorded> record(std::string_view id, const std::string& device, const DeviceReport& report,
                                std::string_view expected_manifest_sha256, std::int64_t now_unix_s);
  /// Makes many record() calls one durable write.
  base::Result<void> batch(const std::function<base::Result<void>()>& work) { return database_.transaction(work); }

  /// bad_state with what is possible instead.
  base::Result<void> pause(std::string_view id, std::int64_t now_unix_s);
  /// From paused. From halted only with `overrule`, which forgives the results so far.
  base::Result<void> resume(std::string_view id, bool overrule, std::int64_t now_unix_s);
  base::Result<void> abort(std::string_view id, std::int64_t now_unix_s);

  base::Result<std::vector<Target>> targets(std::string_view id);
  base::Result<std::vector<LogLine>> log(std::string_view id, std::string_view device);

 private:
  base::Result<void> note(std::string_view id, std::string_view device, std::int64_t now_unix_s, std::string line);
  base::Result<void> time_out(const ota::RolloutPolicy& policy, std::int64_t now_unix_s);
  base::Result<std::vector<std::string>> start(const ota::RolloutPolicy& policy, const Decision& decision,
                                               std::int64_t now_unix_s);
  base::Result<std::vector<std::string>> recall(std::string_view id, TargetState into);
  base::Result<void> set_state(std::string_view id, RunState state, std::string why, std::int64_t now_unix_s);
  base::Result<std::vector<std::string>> names(sql::Statement& query);
  sql::Database& database_;
};

}  // namespace wayside::fleet
