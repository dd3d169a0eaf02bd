// SPDX-License-Identifier: Apache-2.0
// Updates from a stick: each package becomes a command of the device's own, which passes everything that one of the
// operator's passes; what became of it is also written where the system finds it (docs/operator/images.md).
#include <algorithm>
#include <format>
#include <fstream>

#include "agent/ota/update_service.h"
#include "base/log.h"
#include "base/plain_line.h"

namespace wayside::agent {
namespace {

using ota::Refusal;
using ota::State;

/// How often the folder is looked at.
constexpr std::chrono::seconds kStickPause{1};
/// Tries of one package that are told apart; kept well below the bounds of book and journal.
constexpr int kMaxTries = 16;
/// A person stands beside the device: what is not begun by then is not meant any more.
constexpr std::chrono::hours kStickLife{24};
constexpr std::size_t kMaxResultBytes = 300;

std::string told(const UpdateReport& report) {
  if (report.status == "successful") return "successful";
  return std::format("failed: {} {}", report.code, report.reason);
}

}  // namespace

void UpdateService::tend_stick() {
  const auto now = clock_.now();
  if (now < stick_look_) return;
  stick_look_ = now + kStickPause;
  const auto names = stick_.packages();
  if (names.empty()) {
    stick_session_.reset();
    std::error_code ignored;  // none there in most rounds
    std::filesystem::remove(stick_result_, ignored);
    return;
  }
  if (!stick_session_) {
    base::log_info("ota event=stick packages={}", names.size());
    stick_session_.emplace().left.assign(names.begin(), names.end());
    write_stick_result(false);
  }
  while (!stick_session_->done && tend_package()) {
  }
}

/// True when it came further.
bool UpdateService::tend_package() {
  auto& session = *stick_session_;
  if (!session.command.empty()) {
    const auto* report = book_->find(session.command);
    if (report != nullptr && !report->terminal()) return false;
    tell_stick(report != nullptr ? told(*report) : "failed: its report was lost; see the device's log");
    return true;
  }
  if (session.package) {
    begin_package();
    return !session.command.empty() || !session.package;
  }
  if (session.left.empty()) {
    session.done = true;
    write_stick_result(true);
    return false;
  }
  const std::string name = session.left.front();
  session.left.pop_front();
  auto opened = stick_.open(name);
  session.package = opened ? std::move(*opened) : StickPackage{.name = name, .head = {}, .manifest = {}};
  if (!opened) tell_stick("refused: " + describe(opened.error()));
  return true;
}

/// Begins the update, follows one that a restart cut, or says why not; neither while another one is in progress.
void UpdateService::begin_package() {
  auto& session = *stick_session_;
  const auto& job = updater_->entry().job;
  const bool own = job && job->target.manifest == session.package->manifest;
  if (own && job->command_id.starts_with(kStickCommand)) session.command = job->command_id;
  if (updater_->state() != State::idle) return;
  ota::UpdateCommand command = command_for(*session.package);
  const auto slot = updater_->slots().slot(command.role);
  if (slot.committed && slot.committed->manifest == command.manifest) {
    tell_stick("runs already");
    return;
  }
  const auto begun = admit_package(*session.package, command);
  if (begun) {
    session.command = command.id;
    base::log_info("ota command={} event=taken_from_stick package={} manifest={}", command.id, session.package->name,
                   command.manifest.hex());
    note_begun(command.id);
    return;
  }
  if (begun.error().reason == Refusal::busy) return;
  // Said to the operator once: the stick may stay where it is.
  const bool known = std::ranges::any_of(book_->all(), [&](const UpdateReport& report) {
    return report.manifest == command.manifest && report.code == ota::code_of(begun.error().reason) &&
           report.command_id.starts_with(kStickCommand);
  });
  if (!known && begun.error().reason != Refusal::command_repeated) refuse_command(command, begun.error());
  tell_stick("refused: " + describe(begun.error()));
}

/// With an id that no other try of this package has.
ota::UpdateCommand UpdateService::command_for(const StickPackage& package) const {
  const bool firmware = ota::claimed_type(package.head.manifest) == ota::kFirmwareType;
  ota::UpdateCommand command{.role = firmware ? std::string(ota::kFirmwareRole) : config_.models.front().role,
                             .manifest = package.manifest,
                             .not_after_unix_s = unix_now() + std::chrono::seconds(kStickLife).count()};
  for (int i = 1; i <= kMaxTries; ++i) {
    command.id = std::format("{}{}.{}", kStickCommand, package.manifest.hex().substr(0, 24), i);
    if (book_->find(command.id) == nullptr && updater_->outcome(command.id) == nullptr) break;
  }
  return command;
}

/// Signatures, closed world, role, policy, and what the updater asks of every command.
ota::Checked<void> UpdateService::admit_package(const StickPackage& package, ota::UpdateCommand& command) {
  auto envelope = parser_.envelope(envelope_text(package.head));
  if (!envelope) return std::unexpected(envelope.error());
  const auto offered = updater_->offer(std::move(*envelope));
  if (!offered) return std::unexpected(offered.error());
  const auto manifest = ota::Manifest::parse(package.head.manifest);  // whose signatures held
  if (!manifest) return std::unexpected(manifest.error());
  if (auto table = check_table(package.head, *manifest); !table) return table;
  if (const auto problem = role_problem(command)) return std::unexpected(*problem);
  const auto policy = stick_.policy_beside(package.name);
  if (!policy.empty()) {
    const auto signed_policy = parser_.envelope(policy);
    if (!signed_policy) return std::unexpected(signed_policy.error());
    if (auto taken = updater_->offer_policy(*signed_policy); !taken) return taken;
    if (const auto read = ota::parse_rollout_policy(signed_policy->body)) command.rollout = read->id;
  }
  auto begun = updater_->command(command);
  if (!begun && begun.error().reason == Refusal::not_yet && policy.empty()) {
    return ota::refuse(Refusal::not_admitted,
                       std::format("ota.require_policy wants a signed roll-out policy beside {}", package.name));
  }
  return begun;
}

/// What became of the package in hand; the next one's turn.
void UpdateService::tell_stick(std::string result) {
  auto& session = *stick_session_;
  session.results.push_back(base::plain_line(std::format("{}: {}", session.package->name, result), kMaxResultBytes));
  base::log_info("ota event=stick_result {}", session.results.back());
  session.package.reset();
  session.command.clear();
  write_stick_result(false);
}

/// "working" or "done", then a line for each package that is through; appears whole.
void UpdateService::write_stick_result(bool done) {
  std::string text = done ? "done\n" : "working\n";
  for (const auto& line : stick_session_->results) text += line + "\n";
  std::error_code error;
  const auto fresh = std::filesystem::path(stick_result_.string() + ".new");
  if (std::ofstream file(fresh); !(file << text).flush()) {
    base::log_warn("ota event=stick_result_not_written file={}", fresh.string());
    return;
  }
  std::filesystem::rename(fresh, stick_result_, error);
}

}  // namespace wayside::agent
