// SPDX-License-Identifier: Apache-2.0
// The SQL of roll-outs.
#include "fleet/rollout/store.h"

#include <algorithm>
#include <array>
#include <format>

#include "ota/rollout_wave.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::array<std::string_view, 6> kStates{"waiting",   "in_flight", "unreachable",
                                                  "succeeded", "failed",    "withdrawn"};

constexpr std::int64_t number(TargetState state) { return static_cast<std::int64_t>(state); }

constexpr std::size_t kMaxReason = 500;  ///< of untrusted text kept per device

std::string cut(const std::string& text) { return text.substr(0, kMaxReason); }

std::uint64_t minus(std::int64_t total, std::int64_t forgiven) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(total - forgiven, 0));
}

}  // namespace

std::string_view to_string(TargetState state) { return kStates[static_cast<std::size_t>(state)]; }

Result<void> RolloutStore::create(const ota::RolloutPolicy& policy, const std::string& envelope,
                                  const std::vector<std::string>& devices, std::int64_t now_unix_s) {
  WAYSIDE_CHECK(ota::check(policy));
  const auto bounds = ota::wave_bounds(policy);
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(auto* insert,
                database_.prepare("INSERT OR IGNORE INTO rollout(id, policy, envelope, state, created_unix_s) "
                                  "VALUES(?1, ?2, ?3, 'running', ?4)"));
    WAYSIDE_CHECK(insert->bind({policy.id, ota::to_json(policy), envelope, now_unix_s}).run());
    if (database_.changes() == 0)
      return fail(Code::bad_state, std::format("roll-out {} exists; choose another id, or see: wayside fleet rollout "
                                               "status {}",
                                               policy.id, policy.id));
    WAYSIDE_TRY(auto* add, database_.prepare("INSERT INTO target(rollout, device, position, wave, state) "
                                             "VALUES(?1, ?2, ?3, ?4, 0)"));
    std::vector<std::int64_t> waiting(bounds.size());
    for (const auto& device : devices) {
      const auto position = ota::rollout_position(device, policy.id, policy.salt);
      const auto wave = ota::wave_of(position, bounds);
      if (!wave) continue;
      ++waiting[*wave];
      WAYSIDE_CHECK(add->bind({policy.id, device, std::int64_t{position}, static_cast<std::int64_t>(*wave)}).run());
    }
    WAYSIDE_TRY(auto* tally,
                database_.prepare("INSERT INTO tally(rollout, wave, state, devices) VALUES(?1, ?2, ?3, ?4)"));
    for (std::size_t wave = 0; wave < bounds.size(); ++wave) {
      for (std::size_t state = 0; state < kStates.size(); ++state) {
        WAYSIDE_CHECK(tally
                          ->bind({policy.id, static_cast<std::int64_t>(wave), static_cast<std::int64_t>(state),
                                  state == 0 ? waiting[wave] : 0})
                          .run());
      }
    }
    return note(policy.id, "", now_unix_s, "created");
  });
}

Result<std::vector<std::string>> RolloutStore::names(sql::Statement& query) {
  std::vector<std::string> found;
  while (true) {
    WAYSIDE_TRY(const bool row, query.step());
    if (!row) return found;
    found.push_back(query.text(0));
  }
}

Result<std::vector<std::string>> RolloutStore::ids() {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT id FROM rollout ORDER BY created_unix_s, id"));
  return names(query->bind({}));
}

Result<Rollout> RolloutStore::load(std::string_view id) {
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT policy, envelope, state, why, created_unix_s FROM rollout WHERE id = ?1"));
  WAYSIDE_TRY(const bool row, query->bind({std::string(id)}).step());
  if (!row) return fail(Code::not_found, std::format("there is no roll-out {}; see: wayside fleet rollout status", id));
  auto policy = ota::parse_rollout_policy(query->text(0));
  const auto state = parse_run_state(query->text(2));
  if (!policy || !state) return fail(Code::corrupt, std::format("roll-out {}: the database is damaged", id));
  Rollout rollout{std::move(*policy), query->text(1), {}, *state, query->text(3), query->integer(4)};
  query->bind({});
  WAYSIDE_TRY(rollout.manifest, manifest(rollout.policy.manifest_sha256));
  return rollout;
}

Result<void> RolloutStore::put_manifest(std::string_view sha256, const std::string& envelope) {
  WAYSIDE_TRY(auto* insert, database_.prepare("INSERT OR REPLACE INTO manifest(sha256, envelope) VALUES(?1, ?2)"));
  return insert->bind({std::string(sha256), envelope}).run();
}

Result<std::string> RolloutStore::manifest(std::string_view sha256) {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT envelope FROM manifest WHERE sha256 = ?1"));
  WAYSIDE_TRY(const bool row, query->bind({std::string(sha256)}).step());
  std::string envelope = row ? query->text(0) : std::string();
  query->bind({});
  return envelope;
}

Result<Snapshot> RolloutStore::snapshot(const ota::RolloutPolicy& policy, std::int64_t now_unix_s) {
  Snapshot result;
  result.now_unix_s = now_unix_s;
  result.waves.resize(policy.waves.size());
  WAYSIDE_TRY(auto* tally, database_.prepare("SELECT wave, state, devices FROM tally WHERE rollout = ?1"));
  tally->bind({policy.id});
  std::int64_t executed = 0, failed = 0;
  while (true) {
    WAYSIDE_TRY(const bool row, tally->step());
    if (!row) break;
    const auto wave = static_cast<std::size_t>(tally->integer(0));
    if (wave >= result.waves.size()) return fail(Code::corrupt, "fleet database: a wave that the policy lacks");
    auto& counts = result.waves[wave];
    const auto devices = static_cast<std::uint64_t>(tally->integer(2));
    switch (static_cast<TargetState>(tally->integer(1))) {
      case TargetState::waiting: counts.waiting = devices; break;
      case TargetState::in_flight: counts.in_flight = devices; break;
      case TargetState::unreachable: counts.unreachable = devices; break;
      case TargetState::succeeded: counts.succeeded = devices; break;
      case TargetState::failed: counts.failed = devices; break;
      case TargetState::withdrawn: counts.withdrawn = devices; break;
    }
  }
  for (const auto& wave : result.waves) {
    executed += static_cast<std::int64_t>(wave.succeeded + wave.failed);
    failed += static_cast<std::int64_t>(wave.failed);
  }
  WAYSIDE_TRY(
      auto* query,
      database_.prepare("SELECT state, wave, settled_unix_s, compared, disagreed, forgiven_executed, forgiven_failed, "
                        "forgiven_compared, "
                        "forgiven_disagreed, (SELECT count(*) FROM target WHERE rollout = ?1 AND commanded_unix_s > "
                        "?2), overruled_wave "
                        "FROM rollout WHERE id = ?1"));
  WAYSIDE_TRY(const bool row, query->bind({policy.id, now_unix_s - 60}).step());
  if (!row) return fail(Code::not_found, std::format("there is no roll-out {}", policy.id));
  result.state = parse_run_state(query->text(0)).value_or(RunState::paused);
  result.wave = std::min(static_cast<std::size_t>(query->integer(1)), policy.waves.size() - 1);
  if (!query->is_null(2)) result.wave_settled_unix_s = query->integer(2);
  result.evidence = {minus(executed, query->integer(5)), minus(failed, query->integer(6)),
                     minus(query->integer(3), query->integer(7)), minus(query->integer(4), query->integer(8))};
  result.starts_last_minute = static_cast<std::uint64_t>(query->integer(9));
  if (!query->is_null(10)) result.overruled_wave = static_cast<std::size_t>(query->integer(10));
  query->bind({});
  return result;
}

Result<void> RolloutStore::time_out(const ota::RolloutPolicy& policy, std::int64_t now_unix_s) {
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE target SET state = 2, updated_unix_s = ?2 WHERE rollout = ?1 AND "
                                              "state = 1 AND commanded_unix_s <= ?3"));
  return update->bind({policy.id, now_unix_s, now_unix_s - policy.device_timeout_s}).run();
}

Result<std::vector<std::string>> RolloutStore::start(const ota::RolloutPolicy& policy, const Decision& decision,
                                                     std::int64_t now_unix_s) {
  std::vector<std::string> chosen;
  if (decision.start == 0) return chosen;
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT device FROM target WHERE rollout = ?1 AND state = 0 AND wave = ?2 "
                                             "ORDER BY position LIMIT ?3"));
  WAYSIDE_TRY(chosen, names(query->bind({policy.id, static_cast<std::int64_t>(decision.wave),
                                         static_cast<std::int64_t>(decision.start)})));
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE target SET state = 1, commanded_unix_s = ?3, updated_unix_s = ?3 "
                                              "WHERE rollout = ?1 AND device = ?2"));
  for (const auto& device : chosen) WAYSIDE_CHECK(update->bind({policy.id, device, now_unix_s}).run());
  return chosen;
}

Result<std::vector<std::string>> RolloutStore::recall(std::string_view id, TargetState into) {
  const std::string rollout(id);
  // Not begun: nothing was heard since the command. Should the device begin all the same, its report is still taken.
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT device FROM target WHERE rollout = ?1 AND state IN (1, 2) AND seq < 0"));
  WAYSIDE_TRY(auto devices, names(query->bind({rollout})));
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE target SET state = ?2 WHERE rollout = ?1 AND "
                                              "((state IN (1, 2) AND seq < 0) OR (?2 = 5 AND state = 0))"));
  WAYSIDE_CHECK(update->bind({rollout, number(into)}).run());
  return devices;
}

Result<void> RolloutStore::set_state(std::string_view id, RunState state, std::string why, std::int64_t now_unix_s) {
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE rollout SET state = ?2, why = ?3 WHERE id = ?1"));
  WAYSIDE_CHECK(update->bind({std::string(id), std::string(to_string(state)), why}).run());
  return note(id, "", now_unix_s, std::format("{}{}{}", to_string(state), why.empty() ? "" : ": ", why));
}

Result<Step> RolloutStore::step(const ota::RolloutPolicy& policy, std::int64_t now_unix_s) {
  Step step;
  const auto done = database_.transaction([&]() -> Result<void> {
    WAYSIDE_CHECK(time_out(policy, now_unix_s));
    WAYSIDE_TRY(const Snapshot before, snapshot(policy, now_unix_s));
    step.decision = decide(policy, before);
    const auto& next = step.decision;
    if (next.state != before.state) {
      WAYSIDE_CHECK(set_state(policy.id, next.state, next.why, now_unix_s));
    }
    if (next.wave != before.wave || next.wave_settled_unix_s != before.wave_settled_unix_s) {
      WAYSIDE_TRY(auto* update, database_.prepare("UPDATE rollout SET wave = ?2, settled_unix_s = ?3 WHERE id = ?1"));
      const auto settled = next.wave_settled_unix_s ? sql::Statement::Value(*next.wave_settled_unix_s)
                                                    : sql::Statement::Value(std::monostate());
      WAYSIDE_CHECK(update->bind({policy.id, static_cast<std::int64_t>(next.wave), settled}).run());
      if (next.wave != before.wave)
        WAYSIDE_CHECK(note(policy.id, "", now_unix_s, std::format("wave {} begins", next.wave + 1)));
    }
    // Done at each interval, not only at the change: the tool may have been killed between writing and publishing.
    if (next.state == RunState::halted) {
      WAYSIDE_TRY(step.recall, recall(policy.id, TargetState::waiting));
    } else if (next.state == RunState::aborted) {
      WAYSIDE_TRY(step.recall, recall(policy.id, TargetState::withdrawn));
    }
    WAYSIDE_TRY(step.start, start(policy, next, now_unix_s));
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return step;
}

Result<std::vector<std::string>> RolloutStore::in_flight(std::string_view id) {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT device FROM target WHERE rollout = ?1 AND state IN (1, 2)"));
  return names(query->bind({std::string(id)}));
}

Result<std::vector<std::string>> RolloutStore::unheard(std::string_view id) {
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT device FROM target WHERE rollout = ?1 AND state IN (1, 2) AND seq < 0"));
  return names(query->bind({std::string(id)}));
}

Result<Recorded> RolloutStore::record(std::string_view id, const std::string& device, const DeviceReport& report,
                                      std::string_view expected_manifest_sha256, std::int64_t now_unix_s) {
  const std::string rollout(id);
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT state, seq, commanded_unix_s FROM target WHERE rollout = ?1 AND device = ?2"));
  WAYSIDE_TRY(const bool known, query->bind({rollout, device}).step());
  const auto state = known ? static_cast<TargetState>(query->integer(0)) : TargetState::waiting;
  const auto seq = known ? query->integer(1) : -1;
  const bool commanded = known && !query->is_null(2);
  query->bind({rollout, device});
  if (!commanded || report.manifest_sha256 != expected_manifest_sha256) {
    if (!known) return Recorded::phantom;  // a stranger must not fill our log
    WAYSIDE_CHECK(note(id, device, now_unix_s,
                       std::format("not counted: \"{}\" {}", cut(report.status),
                                   commanded ? "for another manifest" : "without a command")));
    return Recorded::phantom;
  }
  if (state == TargetState::succeeded || state == TargetState::failed) return Recorded::duplicate;
  const bool succeeded = report.status == "successful", failed = report.status == "failed";
  if (report.seq <= seq && !succeeded && !failed) return Recorded::duplicate;
  const auto next = succeeded ? TargetState::succeeded : failed ? TargetState::failed : TargetState::in_flight;
  const auto withdrawn_or =
      state == TargetState::withdrawn && next == TargetState::in_flight ? TargetState::withdrawn : next;
  WAYSIDE_TRY(
      auto* update,
      database_.prepare("UPDATE target SET state = ?3, seq = ?4, status = ?5, step = ?6, progress = ?7, code = ?8, "
                        "reason = ?9, compared = ?10, "
                        "disagreed = ?11, bytes = ?12, updated_unix_s = ?13 WHERE rollout = ?1 AND device = ?2"));
  const auto bounded = [](std::uint64_t value) {
    return static_cast<std::int64_t>(std::min<std::uint64_t>(value, 1ULL << 40U));
  };
  WAYSIDE_CHECK(update
                    ->bind({rollout, device, number(withdrawn_or), std::max(report.seq, std::int64_t{0}),
                            cut(report.status), cut(report.step), report.progress_percent, cut(report.code),
                            cut(report.reason), bounded(report.compared),
                            bounded(std::min(report.disagreed, report.compared)), bounded(report.bytes), now_unix_s})
                    .run());
  if (!succeeded && !failed) return Recorded::progress;
  WAYSIDE_CHECK(
      note(id, device, now_unix_s,
           succeeded ? std::string("successful") : std::format("failed: {} {}", cut(report.code), cut(report.reason))));
  return Recorded::terminal;
}

Result<void> RolloutStore::pause(std::string_view id, std::int64_t now_unix_s) {
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(const Rollout rollout, load(id));
    if (rollout.state == RunState::paused) return {};
    if (rollout.state != RunState::running)
      return fail(Code::bad_state,
                  std::format("roll-out {} is {}; only a running one can be paused", id, to_string(rollout.state)));
    return set_state(id, RunState::paused, "by the operator", now_unix_s);
  });
}

Result<void> RolloutStore::resume(std::string_view id, bool overrule, std::int64_t now_unix_s) {
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(const Rollout rollout, load(id));
    if (rollout.state == RunState::running) return {};
    if (rollout.state == RunState::halted && !overrule)
      return fail(Code::bad_state,
                  std::format("roll-out {} halted: {}; look at: wayside fleet logs {}, then resume with "
                              "--overrule or abort it",
                              id, rollout.why, id));
    if (rollout.state != RunState::paused && rollout.state != RunState::halted)
      return fail(Code::bad_state, std::format("roll-out {} is {}; start a new one", id, to_string(rollout.state)));
    if (rollout.state == RunState::halted) {
      WAYSIDE_TRY(
          auto* update,
          database_.prepare(
              "UPDATE rollout SET overruled_wave = wave, forgiven_compared = compared, forgiven_disagreed = disagreed, "
              "forgiven_executed = (SELECT sum(devices) FROM tally WHERE rollout = ?1 AND state IN (3, 4)), "
              "forgiven_failed = (SELECT sum(devices) FROM tally WHERE rollout = ?1 AND state = 4) WHERE id = ?1"));
      WAYSIDE_CHECK(update->bind({std::string(id)}).run());
    }
    return set_state(id, RunState::running, overrule ? "overruled by the operator" : "", now_unix_s);
  });
}

Result<void> RolloutStore::abort(std::string_view id, std::int64_t now_unix_s) {
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(const Rollout rollout, load(id));
    if (rollout.state == RunState::aborted) return {};
    if (rollout.state == RunState::completed)
      return fail(Code::bad_state, std::format("roll-out {} is completed; push the previous version instead", id));
    return set_state(id, RunState::aborted, "by the operator", now_unix_s);
  });
}

Result<std::vector<Target>> RolloutStore::targets(std::string_view id) {
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT device, wave, state, status, step, code, reason, progress, bytes FROM "
                                "target WHERE rollout = ?1 ORDER BY wave, position"));
  query->bind({std::string(id)});
  std::vector<Target> found;
  while (true) {
    WAYSIDE_TRY(const bool row, query->step());
    if (!row) return found;
    const auto state = std::clamp<std::int64_t>(query->integer(2), 0, kStates.size() - 1);
    found.push_back({query->text(0), static_cast<std::size_t>(query->integer(1)), static_cast<TargetState>(state),
                     query->text(3), query->text(4), query->text(5), query->text(6), query->integer(7),
                     static_cast<std::uint64_t>(query->integer(8))});
  }
}

Result<std::vector<LogLine>> RolloutStore::log(std::string_view id, std::string_view device) {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT unix_s, device, line FROM log WHERE rollout = ?1 AND "
                                             "(?2 = '' OR device = ?2) ORDER BY number"));
  query->bind({std::string(id), std::string(device)});
  std::vector<LogLine> lines;
  while (true) {
    WAYSIDE_TRY(const bool row, query->step());
    if (!row) return lines;
    lines.push_back({query->integer(0), query->text(1), query->text(2)});
  }
}

Result<void> RolloutStore::note(std::string_view id, std::string_view device, std::int64_t now_unix_s,
                                std::string line) {
  WAYSIDE_TRY(auto* insert, database_.prepare("INSERT INTO log(rollout, device, unix_s, line) VALUES(?1, ?2, ?3, ?4)"));
  return insert->bind({std::string(id), std::string(device), now_unix_s, std::move(line)}).run();
}

}  // namespace wayside::fleet
