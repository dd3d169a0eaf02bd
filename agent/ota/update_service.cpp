// SPDX-License-Identifier: Apache-2.0
// Start, thread, and what comes in.
#include "agent/ota/update_service.h"

#include <algorithm>
#include <charconv>
#include <format>

#include "base/log.h"

namespace wayside::agent {
namespace {

using ota::Refusal;
using ota::State;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// How often the thread comes round while an update is in progress, and while none is.
constexpr milliseconds kBusyPause{50};
constexpr seconds kIdlePause{1};
/// Steps of the updater in one go: a straight update has 11.
constexpr int kMaxStepsAtOnce = 64;
/// After so many rounds without a message the jailed parser is ended: a second in an update, half a minute else.
constexpr int kQuietRounds = 30;
/// Events handled before the updater gets its turn.
constexpr int kMaxEventsAtOnce = 32;

bool on_trial(State state) { return state == State::activating || state == State::probation; }

ota::UpdaterOptions updater_options(const Config& config, std::vector<ota::Runtime> runtimes, ota::Root root) {
  ota::UpdaterOptions options;
  options.device_id = config.device.id;
  options.facts.board = config.device.board;
  options.facts.runtimes = std::move(runtimes);
  options.root = std::move(root);
  options.built_unix_s = WAYSIDE_BUILT_UNIX_S;
  options.require_policy = config.ota.require_policy;
  options.deadlines.downloading = seconds(config.ota.download_timeout_s) + std::chrono::hours(1);
  return options;
}

}  // namespace

UpdateService::UpdateService(const Config& config, base::DiskStorage storage, base::Clock& clock)
    : config_(config),
      storage_(std::move(storage)),
      clock_(clock),
      device_prefix_(std::format("{}/device/{}///", config.mqtt.root, config.device.id)),
      command_prefix_(device_prefix_ + "cmd/model_update/"),
      firmware_prefix_(device_prefix_ + "cmd/firmware_update/"),
      manifest_prefix_(config.mqtt.root + "/fleet/manifest/"),
      policy_prefix_(config.mqtt.root + "/fleet/rollout/"),
      root_prefix_(config.mqtt.root + "/fleet/root/"),
      stick_(std::filesystem::path(config.ota.system_root) / "run/wayside/update"),
      stick_result_(std::filesystem::path(config.ota.system_root) / "run/waysided/stick-result") {}

base::Result<std::unique_ptr<UpdateService>> UpdateService::open(const Config& config, accel::Accelerator& accelerator,
                                                                 base::Clock& clock) {
  auto storage = base::DiskStorage::open(config.ota.dir);
  if (!storage) return std::unexpected(std::move(storage.error().context("ota.dir (set it to a writable folder)")));
  std::unique_ptr<UpdateService> service(new UpdateService(config, std::move(*storage), clock));
  WAYSIDE_TRY(service->store_, ota::BlobStore::open(service->storage_));
  auto roots = RootStore::open(service->storage_, config.ota.root);
  if (!roots) return base::fail(base::Code::invalid_argument, describe(roots.error()));
  service->roots_ = std::move(*roots);
  WAYSIDE_TRY(service->book_, ReportBook::load(service->storage_));
  service->gates_.emplace(
      PipelineGatesOptions{
          .config = config, .store_root = config.ota.dir, .parser = service->parser_, .stick = service->stick_},
      service->storage_, *service->store_, accelerator, service->link_, clock);
  service->runtimes_ = {{.accelerator = std::string(accelerator.name()), .versions = {}}};
  if (auto installer = probe_installer(config.ota.system_root)) {
    service->takes_firmware_ = true;
    service->runtimes_.push_back(std::move(*installer));
  }
  // Before any model is loaded: one that ends the process is counted here.
  WAYSIDE_TRY(service->updater_,
              ota::Updater::open(service->storage_, *service->store_, *service->gates_, clock,
                                 updater_options(config, service->runtimes_, service->roots_->current())));
  service->gates_->use_slots_of(*service->updater_);
  service->new_system_ = service->job_is_firmware() && on_trial(service->updater_->state());
  WAYSIDE_CHECK(service->load_first_model());
  service->reconcile();
  return service;
}

bool UpdateService::job_is_firmware() const {
  const auto& job = updater_->entry().job;
  return job && job->role == ota::kFirmwareRole;
}

bool UpdateService::model_on_trial() const { return on_trial(updater_->state()) && !job_is_firmware(); }

/// Ends what only writes to the disk: a rollback or a commit that was cut.
base::Result<void> UpdateService::settle() {
  for (int i = 0; i < kMaxStepsAtOnce; ++i) {
    if (updater_->state() != State::rolled_back && updater_->state() != State::committed) return {};
    WAYSIDE_CHECK(updater_->poll());
  }
  return {};
}

base::Result<void> UpdateService::load_first_model() {
  WAYSIDE_CHECK(settle());
  const std::string& role = config_.models.front().role;
  if (model_on_trial()) {
    auto model = gates_->first_model(updater_->active(role));
    if (model) {
      first_model_ = std::move(*model);
      return {};
    }
    base::log_error("ota event=trial_does_not_load reason=\"{}\"", model.error().message);
    if (const auto active = updater_->active(role)) gates_->give_up_on(*active, model.error().message);
    WAYSIDE_CHECK(updater_->poll());
    WAYSIDE_CHECK(settle());
  }
  const auto slot = updater_->slots().slot(role);
  std::vector<std::optional<ota::Installed>> choices;
  if (slot.committed) choices.emplace_back(slot.committed);
  for (const auto& previous : slot.previous) choices.emplace_back(previous);
  for (const auto& choice : choices) {
    auto model = gates_->first_model(choice);
    if (model) {
      first_model_ = std::move(*model);
      return {};
    }
    base::log_error("ota event=installed_model_does_not_load manifest={} reason=\"{}\"", choice->manifest.hex(),
                    model.error().message);
  }
  WAYSIDE_TRY(first_model_, gates_->first_model(std::nullopt));
  return {};
}

ModelFacts UpdateService::first_facts() const {
  ModelFacts facts = gates_->active().facts;
  if (model_on_trial()) facts.state = "trial";
  return facts;
}

std::int64_t UpdateService::unix_now() const {
  return std::chrono::duration_cast<seconds>(clock_.wall_now().time_since_epoch()).count();
}

void UpdateService::start(ModelSlot& slot, const Pipeline& pipeline) {
  gates_->attach(slot, pipeline);
  alive_ns_ = clock_.now().count();
  thread_ = std::thread([this] { run(); });
}

void UpdateService::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  link_.wake();
  thread_.join();
}

bool UpdateService::progressing(std::chrono::nanoseconds limit) const {
  return !thread_.joinable() || clock_.now().count() - alive_ns_ < limit.count();
}

void UpdateService::run() {
  while (!stopping_) {
    alive_ns_ = clock_.now().count();
    const bool busy = updater_->state() != State::idle || !waiting_.empty();
    auto until = clock_.now() + (busy ? std::chrono::nanoseconds(kBusyPause) : std::chrono::nanoseconds(kIdlePause));
    if (const auto wake = gates_->pump()) until = std::min(until, *wake);
    auto event = link_.wait(until);
    quiet_rounds_ = event ? 0 : quiet_rounds_ + 1;
    if (quiet_rounds_ == kQuietRounds) parser_.rest();
    for (int i = 0; event && i < kMaxEventsAtOnce; ++i) {
      handle(*event);
      event = i + 1 < kMaxEventsAtOnce ? link_.wait(base::MonotonicTime(0)) : std::nullopt;
    }
    begin_waiting();
    tend_stick();
    for (int i = 0; i < kMaxStepsAtOnce && !stopping_ && step(); ++i) alive_ns_ = clock_.now().count();
    report_progress();
  }
}

bool UpdateService::step() {
  const auto changed = updater_->poll();
  if (!changed) {
    if (!medium_failed_) base::log_error("ota event=medium_failed reason=\"{}\"", changed.error().message);
    medium_failed_ = true;
    return false;
  }
  medium_failed_ = false;
  if (updater_->state() != told_) report_state();
  return *changed;
}

// ---- what comes in
// ---------------------------------------------------------------------------------------------------

void UpdateService::subscribe(std::string filter) {
  link_.wish({.kind = LinkWish::Kind::subscribe, .filter = std::move(filter), .qos = 1});
}

void UpdateService::subscribe_next_root() {
  subscribe(std::format("{}{}", root_prefix_, roots_->current().version + 1));
}

void UpdateService::handle(const LinkEvent& event) {
  gates_->on_event(event);
  if (event.kind == LinkEvent::Kind::connected) on_connected();
  if (event.kind == LinkEvent::Kind::message) on_message(event);
}

void UpdateService::on_connected() {
  // Once in the life of the process: the broker may remember our subscriptions from before, and then would not send
  // again what is retained. Later connections subscribe by themselves.
  if (!subscribed_) {
    subscribed_ = true;
    subscribe_next_root();
    subscribe(policy_prefix_ + "+");
    subscribe(command_prefix_ + "+");
    if (takes_firmware_) subscribe(firmware_prefix_ + "+");
  }
  for (const auto& report : book_->all()) {
    if (!report.confirmed) publish(report);
  }
  publish_inventory();
}

void UpdateService::on_message(const LinkEvent& event) {
  const auto& [topic, payload] = std::pair(std::string_view(event.message.topic), event.message.payload);
  const auto rest = [&](const std::string& prefix) { return std::string(topic.substr(prefix.size())); };
  if (topic.starts_with(command_prefix_)) {
    on_command(rest(command_prefix_), payload, false);
  } else if (topic.starts_with(firmware_prefix_)) {
    on_command(rest(firmware_prefix_), payload, true);
  } else if (topic.starts_with(manifest_prefix_)) {
    if (!payload.empty()) on_manifest(rest(manifest_prefix_), payload);
  } else if (topic.starts_with(policy_prefix_)) {
    if (payload.empty()) return;
    const auto taken =
        parser_.envelope(payload).and_then([this](const auto& one) { return updater_->offer_policy(one); });
    if (!taken) base::log_warn("ota event=policy_refused topic={} reason=\"{}\"", topic, describe(taken.error()));
  } else if (topic.starts_with(root_prefix_)) {
    if (!payload.empty()) on_root(rest(root_prefix_), payload);
  }
}

void UpdateService::on_root(const std::string& name, const std::string& text) {
  std::uint32_t version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (error != std::errc{} || end != name.data() + name.size() || version <= roots_->current().version) return;
  const auto followed = parser_.envelope(text).and_then([&](const auto& one) { return roots_->offer(version, one); });
  if (!followed) {
    base::log_warn("ota event=root_refused reason=\"{}\"", describe(followed.error()));
    return;
  }
  if (!*followed) return;
  updater_->replace_root(roots_->current());
  link_.wish({.kind = LinkWish::Kind::unsubscribe, .filter = root_prefix_ + name});
  subscribe_next_root();
}

void UpdateService::on_command(const std::string& id, const std::string& payload, bool firmware) {
  if (payload.empty()) {  // taken back before it began, or its result is confirmed
    if (const auto kept = book_->confirm(id); !kept)
      base::log_error("ota event=report_not_kept reason=\"{}\"", kept.error().message);
    waiting_.erase(id);
    return;
  }
  auto parsed = parser_.command(id, payload);
  if (!parsed) {
    base::log_warn("ota command={} event=malformed reason=\"{}\"", id.substr(0, 64), describe(parsed.error()));
    return;
  }
  if (!*parsed) return;  // our own report, coming back
  ota::UpdateCommand command = std::move(**parsed);
  if (id.starts_with(kStickCommand)) {
    base::log_warn("ota command={} event=malformed reason=\"ids that begin with {} are the device's own\"", id,
                   kStickCommand);
    return;
  }
  if (firmware != (command.role == ota::kFirmwareRole)) {
    base::log_warn("ota command={} event=malformed reason=\"role {} on the wrong topic\"", id, command.role);
    return;
  }
  if (command.rollout.empty()) command.rollout = command.id;  // a roll-out has one command, with its own name
  if (const auto* known = book_->find(id)) {
    publish(*known);  // done before, or under way: said again, not done again
    return;
  }
  if (waiting_.contains(id)) return;
  if (waiting_.size() >= kMaxWaiting) {
    base::log_warn("ota command={} event=left reason=\"{} commands wait already\"", id, kMaxWaiting);
    return;
  }
  base::log_info("ota command={} event=taken manifest={}", id, command.manifest.hex());
  waiting_.emplace(id, std::move(command));
}

void UpdateService::on_manifest(const std::string& hex, const std::string& text) {
  const auto offered =
      parser_.envelope(text).and_then([this](ota::Envelope one) { return updater_->offer(std::move(one)); });
  if (offered && offered->hex() == hex) {
    link_.wish({.kind = LinkWish::Kind::unsubscribe, .filter = manifest_prefix_ + hex});
    if (asked_manifest_ == hex) asked_manifest_.clear();
    return;
  }
  const ota::Refused why =
      offered ? ota::Refused{Refusal::wrong_target, "its topic names another manifest"} : offered.error();
  base::log_warn("ota event=manifest_refused topic={} reason=\"{}\"", hex, describe(why));
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto here = at++;
    if (here->second.manifest.hex() != hex) continue;
    const auto command = here->second;
    waiting_.erase(here);
    refuse_command(command, why);
  }
}

void UpdateService::begin_waiting() {
  if (updater_->state() != State::idle) return;
  ota::RolloutPolicy own;  // the device's own windows, besides the policy's
  for (const auto& text : config_.ota.windows) own.windows.push_back(*ota::parse_day_window(text));
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto here = at++;
    const bool open = ota::inside_windows(own, unix_now()) || unix_now() > here->second.not_after_unix_s;
    if (!open || !try_begin(here->second)) continue;
    waiting_.erase(here);
    if (updater_->state() != State::idle) return;
  }
}

std::optional<ota::Refused> UpdateService::role_problem(const ota::UpdateCommand& command) const {
  const std::string& role = config_.models.front().role;
  if (command.role == role || (takes_firmware_ && command.role == ota::kFirmwareRole)) return std::nullopt;
  return ota::Refused{Refusal::wrong_role, std::format("this device has no role {}; it has {}", command.role, role)};
}

void UpdateService::note_begun(const std::string& id) {
  gates_->begin();
  job_ = id;
  told_ = State::idle;
  report_state();
}

/// True when the command need not wait any more.
bool UpdateService::try_begin(const ota::UpdateCommand& command) {
  if (const auto problem = role_problem(command)) {
    refuse_command(command, *problem);
    return true;
  }
  const auto begun = updater_->command(command);
  if (begun) {
    note_begun(command.id);
    return true;
  }
  switch (begun.error().reason) {
    case Refusal::busy:
    case Refusal::not_yet:
    case Refusal::io: return false;
    case Refusal::manifest_not_known:
      if (asked_manifest_ != command.manifest.hex()) {
        asked_manifest_ = command.manifest.hex();
        subscribe(manifest_prefix_ + asked_manifest_);
      }
      return false;
    case Refusal::command_repeated: return true;
    default: refuse_command(command, begun.error()); return true;
  }
}

}  // namespace wayside::agent
