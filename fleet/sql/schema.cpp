// SPDX-License-Identifier: Apache-2.0
// Schema steps: step N upgrades version N to N + 1; PRAGMA user_version holds the version.
#include "fleet/sql/schema.h"

#include <array>
#include <cstdlib>
#include <format>

namespace wayside::fleet {
namespace {

// target.state holds TargetState. tally counts targets per wave and state; triggers keep it in step with every change,
// so that a control interval costs the same for 100 devices and for a million.
constexpr const char* kStep0 = R"sql(
CREATE TABLE device(
  id TEXT PRIMARY KEY, state TEXT NOT NULL, labels TEXT NOT NULL, certificate_sha256 TEXT NOT NULL DEFAULT '',
  enrolled_unix_s INTEGER NOT NULL, seen_unix_s INTEGER) WITHOUT ROWID;
CREATE TABLE device_group(
  name TEXT NOT NULL, device TEXT NOT NULL REFERENCES device(id), PRIMARY KEY(name, device)) WITHOUT ROWID;
CREATE TABLE rollout(
  id TEXT PRIMARY KEY, policy TEXT NOT NULL, envelope TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '',
  wave INTEGER NOT NULL DEFAULT 0, settled_unix_s INTEGER, created_unix_s INTEGER NOT NULL,
  compared INTEGER NOT NULL DEFAULT 0, disagreed INTEGER NOT NULL DEFAULT 0,
  forgiven_executed INTEGER NOT NULL DEFAULT 0, forgiven_failed INTEGER NOT NULL DEFAULT 0,
  forgiven_compared INTEGER NOT NULL DEFAULT 0, forgiven_disagreed INTEGER NOT NULL DEFAULT 0,
  overruled_wave INTEGER);
CREATE TABLE target(
  rollout TEXT NOT NULL REFERENCES rollout(id), device TEXT NOT NULL, position_ppm INTEGER NOT NULL, wave INTEGER NOT NULL,
  state INTEGER NOT NULL, commanded_unix_s INTEGER, seq INTEGER NOT NULL DEFAULT -1, status TEXT NOT NULL DEFAULT '',
  step TEXT NOT NULL DEFAULT '', progress INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '', compared INTEGER NOT NULL DEFAULT 0, disagreed INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0, updated_unix_s INTEGER, PRIMARY KEY(rollout, device)) WITHOUT ROWID;
CREATE INDEX target_by_state ON target(rollout, state, wave, position_ppm);
CREATE INDEX target_by_command ON target(rollout, commanded_unix_s) WHERE commanded_unix_s IS NOT NULL;
CREATE TABLE tally(
  rollout TEXT NOT NULL, wave INTEGER NOT NULL, state INTEGER NOT NULL, devices INTEGER NOT NULL,
  PRIMARY KEY(rollout, wave, state)) WITHOUT ROWID;
CREATE TRIGGER tally_moves AFTER UPDATE OF state ON target WHEN old.state <> new.state BEGIN
  UPDATE tally SET devices = devices - 1 WHERE rollout = old.rollout AND wave = old.wave AND state = old.state;
  UPDATE tally SET devices = devices + 1 WHERE rollout = new.rollout AND wave = new.wave AND state = new.state;
END;
CREATE TRIGGER evidence_moves AFTER UPDATE OF compared, disagreed ON target BEGIN
  UPDATE rollout SET compared = compared + new.compared - old.compared,
                     disagreed = disagreed + new.disagreed - old.disagreed WHERE id = new.rollout;
END;
CREATE TABLE log(
  number INTEGER PRIMARY KEY, rollout TEXT NOT NULL, device TEXT NOT NULL, unix_s INTEGER NOT NULL, line TEXT NOT NULL);
CREATE INDEX log_by_rollout ON log(rollout, number);
)sql";

// Positions have 32 bits since the waves are cut exactly; those of older roll-outs keep their order.
constexpr const char* kStep1 = R"sql(
ALTER TABLE target RENAME COLUMN position_ppm TO position;
)sql";

// Signed manifests that were pushed, and what each device last said it has (ota::DeviceInventory).
constexpr const char* kStep2 = R"sql(
CREATE TABLE manifest(sha256 TEXT PRIMARY KEY, envelope TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE inventory(device TEXT PRIMARY KEY, document TEXT NOT NULL, unix_s INTEGER NOT NULL) WITHOUT ROWID;
)sql";

constexpr std::array kSteps{kStep0, kStep1, kStep2};

}  // namespace

base::Result<sql::Database> open_fleet_database(const std::filesystem::path& file) {
  WAYSIDE_TRY(auto database, sql::Database::open(file));
  auto upgraded = database.transaction([&]() -> base::Result<void> {
    WAYSIDE_TRY(auto* query, database.prepare("PRAGMA user_version"));
    WAYSIDE_TRY(const bool row, query->bind({}).step());
    const auto version = row ? query->integer(0) : 0;
    query->bind({});  // ends the reading
    if (version < 0 || version > static_cast<std::int64_t>(kSteps.size()))
      return base::fail(
          base::Code::unsupported,
          std::format("{} was made by a newer wayside (schema {}, this one knows {}): update this program",
                      file.string(), version, kSteps.size()));
    for (auto step = static_cast<std::size_t>(version); step < kSteps.size(); ++step) {
      WAYSIDE_CHECK(database.execute(kSteps[step]));
    }
    return database.execute(std::format("PRAGMA user_version = {}", kSteps.size()));
  });
  if (!upgraded) return std::unexpected(std::move(upgraded.error().context(file.string())));
  return database;
}

base::Result<std::filesystem::path> default_fleet_database() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (auto file = variable("WAYSIDE_FLEET_DB"); !file.empty()) return file;
  auto folder = variable("XDG_STATE_HOME");
  if (folder.empty()) {
    folder = variable("HOME");
    if (folder.empty())
      return base::fail(base::Code::invalid_argument, "no place for the fleet database: give --db FILE or set HOME");
    folder /= ".local/state";
  }
  folder /= "wayside";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(folder.string(), error.value());
  return folder / "fleet.db";
}

}  // namespace wayside::fleet
