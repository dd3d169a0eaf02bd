// SPDX-License-Identifier: Apache-2.0
// The journal's file form.
#include "ota/updater/journal.h"

#include "ota/package/canonical_json.h"
#include "ota/updater/record.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;
const std::filesystem::path kJournalFile = "journal";

Json to_json(const Job& job) {
  return {{"command_id", job.command_id},    {"manifest", job.target.manifest.hex()},
          {"max_bytes", job.max_bytes},      {"role", job.role},
          {"counter", job.security_counter}, {"variant", job.target.variant}};
}

Json to_json(const Outcome& outcome) {
  return {{"command_id", outcome.command_id},
          {"committed", outcome.committed},
          {"manifest", outcome.manifest.hex()},
          {"model_failed", outcome.model_failed},
          {"reason", outcome.reason}};
}

Checked<Job> read_job(const Json& json) {
  ObjectReader reader(json, "job");
  Job job;
  job.command_id = reader.name("command_id");
  job.role = reader.name("role");
  job.target = {.manifest = reader.digest("manifest"), .variant = reader.name("variant")};
  job.security_counter = static_cast<std::uint64_t>(reader.integer("counter", 0, INT64_MAX));
  job.max_bytes = static_cast<std::uint64_t>(reader.integer("max_bytes", 0, INT64_MAX));
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  return job;
}

Checked<JournalEntry> read_entry(const Json& json) {
  ObjectReader reader(json, "journal");
  JournalEntry entry;
  const auto state = state_named(reader.name("state"));
  if (!state) reader.note(Refusal::bad_text, "unknown state");
  entry.state = state.value_or(State::idle);
  entry.stores = static_cast<std::uint32_t>(reader.integer("stores", 0, UINT32_MAX));
  entry.restarts = static_cast<std::uint32_t>(reader.integer("restarts", 0, UINT32_MAX));
  entry.model_failed = reader.boolean("model_failed");
  entry.reason = reader.text("reason");
  if (const Json* list = reader.list("history", kMaxHistory)) {
    for (const Json& one : *list) {
      ObjectReader item(one, "history");
      entry.history.push_back({.command_id = item.name("command_id"),
                               .manifest = item.digest("manifest"),
                               .committed = item.boolean("committed"),
                               .model_failed = item.boolean("model_failed"),
                               .reason = item.text("reason")});
      if (const auto done = item.finish(); !done) reader.note(done.error());
    }
  }
  if (reader.has("job")) {
    const Json* one = reader.object("job", 6);
    auto job = read_job(one != nullptr ? *one : Json());
    if (!job) return std::unexpected(job.error());
    entry.job = std::move(*job);
  }
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  if ((entry.state == State::idle) == entry.job.has_value()) {
    return refuse(Refusal::missing_field, "journal: a job belongs to every state but idle");
  }
  return entry;
}

}  // namespace

base::Result<JournalEntry> Journal::load(base::Storage& storage, bool& damaged) {
  damaged = false;
  auto json = read_record(storage, kJournalFile);
  if (!json) {
    const auto code = json.error().code;
    if (code == base::Code::not_found) return JournalEntry{};
    if (code != base::Code::corrupt && code != base::Code::exhausted) return std::unexpected(json.error());
    damaged = true;
    return JournalEntry{};
  }
  auto entry = read_entry(*json);
  damaged = !entry;
  return entry ? std::move(*entry) : JournalEntry{};
}

base::Result<void> Journal::store(base::Storage& storage, const JournalEntry& entry) {
  Json json = {{"history", Json::array()},   {"model_failed", entry.model_failed}, {"reason", entry.reason},
               {"restarts", entry.restarts}, {"state", to_string(entry.state)},    {"stores", entry.stores}};
  for (const auto& outcome : entry.history) json["history"].push_back(to_json(outcome));
  if (entry.job) json["job"] = to_json(*entry.job);
  return write_record(storage, kJournalFile, json);
}

}  // namespace wayside::ota
