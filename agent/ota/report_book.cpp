// SPDX-License-Identifier: Apache-2.0
// The book's file form and the reports' JSON.
#include "agent/ota/report_book.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ota/updater/record.h"

namespace wayside::agent {
namespace {

using Json = nlohmann::json;
const std::filesystem::path kFile = "reports";

Json gate_json(const UpdateReport& report) {
  Json gate = {{"shadow", {{"compared", report.compared}, {"disagreed", report.disagreed}}}};
  if (report.swap_dropped_frames) gate["swap"]["dropped_frames"] = *report.swap_dropped_frames;
  if (report.swap_ms) gate["swap"]["took_ms"] = *report.swap_ms;
  if (report.rollback_ms) gate["rollback"]["took_ms"] = *report.rollback_ms;
  return gate;
}

Json to_json(const UpdateReport& report) {
  Json json = {{"id", report.command_id},
               {"manifest", report.manifest.hex()},
               {"status", report.status},
               {"step", report.step},
               {"code", report.code},
               {"reason", report.reason},
               {"seq", report.seq},
               {"progress", report.progress_percent},
               {"bytes", report.bytes},
               {"confirmed", report.confirmed},
               {"firmware", report.firmware},
               {"compared", report.compared},
               {"disagreed", report.disagreed}};
  if (report.swap_dropped_frames) json["swap_dropped_frames"] = *report.swap_dropped_frames;
  if (report.swap_ms) json["swap_ms"] = *report.swap_ms;
  if (report.rollback_ms) json["rollback_ms"] = *report.rollback_ms;
  return json;
}

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::uint64_t> number(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::optional<UpdateReport> parse(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto manifest = ota::Digest::parse(text(json, "manifest"));
  if (!manifest || text(json, "id").empty()) return std::nullopt;
  UpdateReport report{.command_id = text(json, "id"), .manifest = *manifest};
  report.status = text(json, "status");
  report.step = text(json, "step");
  report.code = text(json, "code");
  report.reason = text(json, "reason");
  report.seq = number(json, "seq").value_or(0);
  report.progress_percent = number(json, "progress").value_or(0);
  report.bytes = number(json, "bytes").value_or(0);
  report.compared = number(json, "compared").value_or(0);
  report.disagreed = number(json, "disagreed").value_or(0);
  report.swap_dropped_frames = number(json, "swap_dropped_frames");
  report.swap_ms = number(json, "swap_ms");
  report.rollback_ms = number(json, "rollback_ms");
  report.firmware = json.value("firmware", Json(false)) == Json(true);
  report.confirmed = json.value("confirmed", Json(false)) == Json(true);
  return report;
}

}  // namespace

base::Result<ReportBook> ReportBook::load(base::Storage& storage) {
  ReportBook book(storage);
  const auto json = ota::read_record(storage, kFile);
  if (!json && json.error().code == base::Code::io) return std::unexpected(json.error());
  if (!json || !json->is_array()) return book;
  for (const Json& one : *json) {
    if (auto report = parse(one); report && book.reports_.size() < kMaxReports)
      book.reports_.push_back(std::move(*report));
  }
  return book;
}

const UpdateReport* ReportBook::find(const std::string& command_id) const {
  const auto found = std::ranges::find(reports_, command_id, &UpdateReport::command_id);
  return found == reports_.end() ? nullptr : &*found;
}

base::Result<void> ReportBook::put(UpdateReport report) {
  const auto known = std::ranges::find(reports_, report.command_id, &UpdateReport::command_id);
  report.seq = known == reports_.end() ? 1 : known->seq + 1;
  if (known != reports_.end()) {
    *known = std::move(report);
  } else {
    if (reports_.size() >= kMaxReports) {
      const auto settled = std::ranges::find(reports_, true, &UpdateReport::confirmed);
      reports_.erase(settled == reports_.end() ? reports_.begin() : settled);
    }
    reports_.push_back(std::move(report));
  }
  return save();
}

base::Result<void> ReportBook::confirm(const std::string& command_id) {
  const auto known = std::ranges::find(reports_, command_id, &UpdateReport::command_id);
  if (known == reports_.end() || !known->terminal() || known->confirmed) return {};
  known->confirmed = true;
  return save();
}

base::Result<void> ReportBook::save() {
  Json json = Json::array();
  for (const auto& report : reports_) json.push_back(to_json(report));
  return ota::write_record(*storage_, kFile, json);
}

std::string report_json(const UpdateReport& report, const std::string& time) {
  Json json = {{"status", report.status},
               {"exec", 1},
               {"seq", report.seq},
               {"step", report.step},
               {"progress", report.progress_percent},
               {"target", {{"manifest_sha256", report.manifest.hex()}}},
               {"bytes", {{"done", report.bytes}}},
               {"gate", gate_json(report)},
               {"time", time}};
  if (!report.code.empty()) json["code"] = report.code;
  if (!report.reason.empty()) json["reason"] = report.reason;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace wayside::agent
