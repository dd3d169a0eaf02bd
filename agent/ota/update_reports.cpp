// SPDX-License-Identifier: Apache-2.0
// What the update service says: states, progress, ends.
#include <algorithm>
#include <format>

#include "agent/ota/update_service.h"
#include "base/log.h"
#include "base/plain_line.h"
#include "ota/device_inventory.h"

namespace wayside::agent {
namespace {

using ota::State;

/// How a state is told: status and step of the life-cycle (docs/topics.md), percent, code of a failure there.
struct Telling {
  State state;
  const char *status, *step;
  std::uint64_t percent;
  const char* code;
};
constexpr Telling kTellings[] = {
    {State::accepted, "scheduled", "reserve", 1, "E-RESERVE"},
    {State::downloading, "download", "download", 5, "E-DOWNLOAD"},
    {State::verifying, "verify", "verify", 60, "E-VERIFY"},
    {State::staged, "stage", "stage", 63, "E-STAGE"},
    {State::compile, "compile", "compile", 65, "E-COMPILE"},
    {State::self_test, "trial", "golden", 70, "E-GATE-GOLDEN"},
    {State::shadow, "trial", "shadow", 75, "E-GATE-SHADOW"},
    {State::activating, "trial", "activate", 80, "E-ACTIVATE"},
    {State::probation, "trial", "probation", 85, "E-GATE-PROBATION"},
    {State::committed, "commit", "commit", 98, "E-COMMIT"},
};
/// The download lies between its own percent and that of verify.
constexpr std::uint64_t kDownloadPercent = 55;
/// A firmware's own words for two states; its installation fills what is between them.
constexpr Telling kFirmwareTellings[] = {
    {State::activating, "install", "install", 65, "E-INSTALL"},
    {State::probation, "trial", "confirm", 95, "E-CONFIRM"},
};
constexpr std::uint64_t kInstallPercent = 30;
/// Progress is told in steps of this, to spare the medium.
constexpr std::uint64_t kToldStep = 10;
constexpr std::size_t kMaxReasonBytes = 200;

const Telling* telling_of(State state, bool firmware) {
  const auto* own = std::ranges::find(kFirmwareTellings, state, &Telling::state);
  if (firmware && own != std::end(kFirmwareTellings)) return own;
  const auto* found = std::ranges::find(kTellings, state, &Telling::state);
  return found == std::end(kTellings) ? nullptr : found;
}

std::string code_at(const std::string& step) {
  const auto named = [&](const Telling& one) { return step == one.step; };
  if (const auto* own = std::ranges::find_if(kFirmwareTellings, named); own != std::end(kFirmwareTellings))
    return own->code;
  const auto* found = std::ranges::find_if(kTellings, named);
  return found == std::end(kTellings) ? "E-UPDATE" : found->code;
}

/// As it may stand in a record.
std::string tidy(std::string_view text) { return base::plain_line(text, kMaxReasonBytes); }

void take_figures(const UpdateFigures& from, UpdateReport& report) {
  report.bytes = std::max(report.bytes, from.bytes);
  report.compared = std::max(report.compared, from.shadow.compared);
  report.disagreed = std::max(report.disagreed, from.shadow.disagreed);
  if (from.swap_dropped_frames) report.swap_dropped_frames = from.swap_dropped_frames;
  if (from.swap_ms) report.swap_ms = from.swap_ms;
  if (from.rollback_ms) report.rollback_ms = from.rollback_ms;
}

}  // namespace

void UpdateService::say(UpdateReport report) {
  report.reason = tidy(report.reason);
  const std::string id = report.command_id;
  if (const auto kept = book_->put(std::move(report)); !kept)
    base::log_error("ota event=report_not_kept reason=\"{}\"", kept.error().message);
  publish(*book_->find(id));
}

void UpdateService::publish(const UpdateReport& report) {
  LinkWish wish{.kind = LinkWish::Kind::retain};
  wish.message.topic = (report.firmware ? firmware_prefix_ : command_prefix_) + report.command_id;
  wish.message.payload = report_json(report, base::rfc3339(clock_.wall_now()));
  link_.wish(std::move(wish));
}

/// The update's state changed: on disk in the journal, now in the book, then said.
void UpdateService::report_state() {
  told_ = updater_->state();
  told_percent_ = 0;
  if (told_ != State::activating && told_ != State::probation) new_system_ = false;
  if (told_ == State::idle) {
    report_end();
    return;
  }
  const auto& job = *updater_->entry().job;
  job_ = job.command_id;
  const auto* known = book_->find(job_);
  UpdateReport report = known != nullptr ? *known : UpdateReport{.command_id = job_, .manifest = job.target.manifest};
  take_figures(gates_->figures(), report);
  report.firmware = job_is_firmware();
  if (const auto* telling = telling_of(told_, report.firmware)) {
    report.status = telling->status;
    report.step = telling->step;
    report.progress_percent = telling->percent;
  } else {  // rolled_back: the step says where
    report.status = "rollback";
    report.reason = updater_->entry().reason;
  }
  say(std::move(report));
}

void UpdateService::report_progress() {
  if (told_ == State::activating && job_is_firmware()) {
    const auto installed = gates_->install_percent();
    if (installed < told_percent_ + kToldStep) return;
    told_percent_ = installed;
    UpdateReport report = *book_->find(job_);
    report.progress_percent = telling_of(told_, true)->percent + installed * kInstallPercent / 100;
    say(std::move(report));
    return;
  }
  if (told_ != State::downloading || updater_->state() != State::downloading) return;
  const auto& figures = gates_->figures();
  const auto done = std::min(figures.bytes, figures.planned_bytes);
  const auto percent = figures.planned_bytes == 0 ? 0 : done * kDownloadPercent / figures.planned_bytes;
  if (percent < told_percent_ + kToldStep) return;
  told_percent_ = percent;
  UpdateReport report = *book_->find(job_);
  take_figures(figures, report);
  report.progress_percent = telling_of(State::downloading, false)->percent + percent;
  say(std::move(report));
}

void UpdateService::report_end() {
  const auto* outcome = updater_->outcome(job_);
  if (outcome == nullptr) return;
  const auto* known = book_->find(job_);
  UpdateReport report = known != nullptr ? *known : UpdateReport{.command_id = job_, .manifest = outcome->manifest};
  if (report.terminal()) return;
  take_figures(gates_->figures(), report);
  report.status = outcome->committed ? "successful" : "failed";
  report.progress_percent = 100;
  report.reason = outcome->reason;
  if (!outcome->committed) report.code = code_at(report.step);
  const auto shown = [](const std::optional<std::uint64_t>& value) { return value ? std::to_string(*value) : "-"; };
  base::log_info("ota command={} event={} step={} bytes={} dropped_frames={} rollback_ms={} reason=\"{}\"", job_,
                 report.status, report.step, report.bytes, shown(report.swap_dropped_frames), shown(report.rollback_ms),
                 report.reason);
  say(std::move(report));
  job_.clear();
  publish_inventory();
}

/// The journal may know ends that the book does not: the process ended in between.
void UpdateService::reconcile() {
  for (const auto& outcome : updater_->entry().history) {
    job_ = outcome.command_id;
    const auto* known = book_->find(job_);
    if (known == nullptr || !known->terminal()) report_end();
  }
  job_.clear();
  if (updater_->state() != State::idle) report_state();
}

void UpdateService::refuse_command(const ota::UpdateCommand& command, const ota::Refused& why) {
  base::log_warn("ota command={} event=refused reason=\"{}\"", command.id, describe(why));
  say({.command_id = command.id,
       .manifest = command.manifest,
       .status = "failed",
       .step = "accept",
       .code = ota::code_of(why.reason),
       .reason = std::string(to_string(why.reason)) + ": " + why.message,
       .firmware = command.role == ota::kFirmwareRole});
}

/// What the operator's cost preview is reckoned from.
void UpdateService::publish_inventory() {
  auto blobs = ota::blobs_in(*store_);
  if (!blobs) return;
  ota::DeviceInventory inventory{.board = config_.device.board, .runtimes = runtimes_, .blobs = std::move(*blobs)};
  for (const std::string& role : {config_.models.front().role, std::string(ota::kFirmwareRole)}) {
    if (const auto floor = updater_->counter_floor(role); floor > 0) inventory.counters[role] = floor;
  }
  LinkWish wish{.kind = LinkWish::Kind::retain};
  wish.message.topic = device_prefix_ + "twin/inventory";
  wish.message.payload = to_json(inventory);
  link_.wish(std::move(wish));
}

}  // namespace wayside::agent
