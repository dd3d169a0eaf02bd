// SPDX-License-Identifier: Apache-2.0
// Messages to the updater, the updater's states to messages.
#include "fleet/simulator/simulated_device.h"

#include <algorithm>
#include <array>
#include <format>
#include <string_view>

#include "fleet/rollout/wire.h"
#include "ota/device_inventory.h"
#include "ota/transfer/mqtt_binding.h"

namespace wayside::fleet {
namespace {

namespace mqtt = base::mqtt;
using base::Result;
using ota::Refusal;
using ota::State;

constexpr std::size_t kMaxCommands = 16;  ///< kept per device; more are not taken

bool terminal(const DeviceReport& report) { return report.status == "successful" || report.status == "failed"; }

/// The status of docs/topics.md for a state of the updater.
std::string_view status_of(State state) {
  switch (state) {
    case State::idle:
    case State::accepted: return "scheduled";
    case State::downloading: return "download";
    case State::verifying: return "verify";
    case State::staged: return "stage";
    case State::compile: return "compile";
    case State::self_test:
    case State::shadow:
    case State::activating:
    case State::probation: return "trial";
    case State::committed: return "commit";
    case State::rolled_back: return "rollback";
  }
  return "scheduled";
}

/// These never become right by waiting; for the others (no metadata yet, wave not open, busy) the command stays.
bool is_final(Refusal reason) {
  constexpr std::array kFinal{Refusal::wrong_role,   Refusal::failed_before, Refusal::rollback,
                              Refusal::fast_forward, Refusal::foreign_board, Refusal::no_variant_for_runtime};
  return std::ranges::find(kFinal, reason) != kFinal.end();
}

}  // namespace

Result<std::unique_ptr<SimulatedDevice>> SimulatedDevice::create(SimulatedDeviceOptions options, SimulatedDisk& disk,
                                                                 base::Clock& clock) {
  std::unique_ptr<SimulatedDevice> device(new SimulatedDevice(std::move(options), disk, clock));
  WAYSIDE_CHECK(device->open());
  return device;
}

Result<void> SimulatedDevice::open() {
  const auto& id = options_.mqtt.client_id;
  WAYSIDE_TRY(auto store, ota::BlobStore::open(disk_.storage));
  store_ = std::make_unique<ota::BlobStore>(std::move(store));
  fetcher_ = std::make_unique<ota::Fetcher>(
      disk_.storage, *store_,
      ota::FetcherOptions{
          .root = options_.root, .device = id, .window = 4, .jitter_seed = std::hash<std::string>{}(id)});
  gates_ = std::make_unique<SimulatedGates>(options_.gates, *fetcher_, *store_, clock_);
  WAYSIDE_TRY(auto updater,
              ota::Updater::open(disk_.storage, *store_, *gates_, clock_,
                                 {.device_id = id,
                                  .facts = {.board = options_.board, .runtimes = {{.accelerator = "cpu-int8"}}},
                                  .root = options_.trusted,
                                  .require_policy = true}));
  updater_ = std::make_unique<ota::Updater>(std::move(updater));
  note_state();
  WAYSIDE_TRY(client_, mqtt::Client::create(options_.mqtt, clock_));
  client_->subscribe(commands_filter(options_.root, id), 1);
  client_->subscribe(policy_topic(options_.root, "+"), 1);
  client_->subscribe(manifest_topic(options_.root, "+"), 1);
  return {};
}

std::string SimulatedDevice::active_manifest(const std::string& role) const {
  const auto active = updater_->active(role);
  return active ? active->manifest.hex() : std::string();
}

Result<void> SimulatedDevice::poll() {
  using Kind = mqtt::Event::Kind;
  const auto now = clock_.now();
  while (const auto event = client_->wait(now)) {
    ota::forward(*fetcher_, *event, *client_, now);
    switch (event->kind) {
      case Kind::connected: on_connected(); break;
      case Kind::message: on_message(event->message); break;
      case Kind::acked: under_way_.erase(event->ticket); break;
      case Kind::dropped:
        if (const auto found = under_way_.find(event->ticket); found != under_way_.end()) {
          if (found->second.empty())
            inventory_due_ = true;
          else
            due_[found->second] = true;
          under_way_.erase(found);
        }
        break;
      case Kind::connect_failed:
      case Kind::lost:
      case Kind::subscribe_failed: break;
    }
  }
  if (!waiting_.empty() && now >= next_try_) try_commands();
  WAYSIDE_CHECK(advance());
  ota::flush(*fetcher_, *client_, now);
  publish_due();
  return {};
}

void SimulatedDevice::on_connected() {
  ++connections_;
  under_way_.clear();
  inventory_due_ = true;
  // The disk is the truth: whatever the broker remembers, it is told again.
  for (const auto& [id, update] : disk_.updates) {
    if (!update.confirmed) due_[id] = true;
  }
}

void SimulatedDevice::on_message(const mqtt::Message& message) {
  if (const auto topic = parse_command_topic(options_.root, message.topic)) {
    if (topic->device == options_.mqtt.client_id) on_command(topic->command, message.payload);
    return;
  }
  const bool is_policy = message.topic.starts_with(policy_topic(options_.root, ""));
  if (!is_policy && !message.topic.starts_with(manifest_topic(options_.root, ""))) return;
  if (message.payload.empty()) return;  // withdrawn by the operator
  const bool taken =
      is_policy ? updater_->offer_policy(message.payload).has_value() : updater_->offer(message.payload).has_value();
  if (!taken) ++refused_documents_;
  next_try_ = base::MonotonicTime(0);
}

void SimulatedDevice::on_command(const std::string& id, const std::string& payload) {
  const auto known = disk_.updates.find(id);
  if (payload.empty()) {  // taken back, or our result is confirmed
    waiting_.erase(id);
    if (known != disk_.updates.end() && terminal(known->second.report)) known->second.confirmed = true;
    return;
  }
  const auto command = ota::parse_update_command(id, payload);
  if (!command || !*command) return;  // no command, or our own report coming back
  if (known != disk_.updates.end()) {
    known->second.confirmed = false;
    due_[id] = true;
    return;
  }
  forget_oldest();
  if (waiting_.size() + disk_.updates.size() < kMaxCommands) waiting_[id] = **command;
  next_try_ = base::MonotonicTime(0);
}

/// Makes room: a confirmed result need not be told again, and its command has been taken from the broker.
void SimulatedDevice::forget_oldest() {
  if (disk_.updates.size() + 1 < kMaxCommands) return;
  const auto settled = std::ranges::find_if(disk_.updates, [](const auto& one) { return one.second.confirmed; });
  if (settled != disk_.updates.end()) disk_.updates.erase(settled);
}

void SimulatedDevice::try_commands() {
  next_try_ = clock_.now() + options_.gates.step_time;
  std::erase_if(waiting_, [this](const auto& one) { return begin(one.second); });
}

/// True when the command need not wait any longer.
bool SimulatedDevice::begin(const ota::UpdateCommand& command) {
  const auto begun = updater_->command(command);
  if (begun) {
    ++disk_.executions;
    note_state();
    return true;
  }
  const auto reason = begun.error().reason;
  if (is_final(reason))
    tell(command.id, {.status = "failed",
                      .manifest_sha256 = command.manifest.hex(),
                      .step = "scheduled",
                      .code = std::string(ota::code_of(reason)),
                      .reason = begun.error().message});
  return is_final(reason) || reason == Refusal::command_repeated || reason == Refusal::command_expired;
}

Result<void> SimulatedDevice::advance() {
  if (updater_->state() == State::idle) return {};
  bool changed = true;
  while (changed && updater_->state() != State::idle) {
    WAYSIDE_TRY(changed, updater_->poll());
    if (changed) note_state();
  }
  return {};
}

/// Writes down (and lets publish) what the updater's journal says that differs from what was told.
void SimulatedDevice::note_state() {
  const auto& entry = updater_->entry();
  if (entry.job) {
    auto report = disk_.updates[entry.job->command_id].report;
    const std::string step(to_string(entry.state));
    if (report.step == step) return;
    report.status = status_of(entry.state);
    report.step = step;
    report.manifest_sha256 = entry.job->target.manifest.hex();
    report.progress_percent =
        static_cast<std::int64_t>(entry.state) * 100 / static_cast<std::int64_t>(ota::kStateCount);
    return tell(entry.job->command_id, std::move(report));
  }
  for (const auto& [id, update] : disk_.updates) {
    const auto* outcome = terminal(update.report) ? nullptr : updater_->outcome(id);
    if (outcome == nullptr) continue;
    auto report = update.report;
    report.status = outcome->committed ? "successful" : "failed";
    report.code = outcome->committed ? "" : outcome->model_failed ? "E-GATE" : "E-UPDATE";
    report.reason = outcome->reason;
    report.progress_percent = 100;
    report.bytes = gates_->take_fetched_bytes();
    report.compared = gates_->compared();
    report.disagreed = gates_->disagreed();
    inventory_due_ = true;
    return tell(id, std::move(report));
  }
}

void SimulatedDevice::tell(const std::string& id, DeviceReport report) {
  auto& update = disk_.updates[id];
  report.seq = update.report.seq + 1;
  update = {std::move(report), false};
  due_[id] = true;
}

void SimulatedDevice::publish_due() {
  if (!client_->connected()) return;
  const auto& id = options_.mqtt.client_id;
  if (inventory_due_) {
    const auto blobs = ota::blobs_in(*store_);
    ota::DeviceInventory inventory{.board = options_.board, .runtimes = {{.accelerator = "cpu-int8"}}};
    if (blobs) inventory.blobs = *blobs;
    for (const auto& [role, slot] : updater_->slots().roles()) inventory.counters[role] = slot.counter_floor;
    const auto ticket =
        client_->publish(mqtt::json_message(inventory_topic(options_.root, id), to_json(inventory), 1, true));
    if (!ticket) return;
    under_way_[*ticket] = "";
    inventory_due_ = false;
  }
  while (!due_.empty()) {
    const std::string command = due_.begin()->first;
    const auto ticket = client_->publish(report_message(options_.root, id, command, disk_.updates.at(command).report));
    if (!ticket) return;  // window full: at the next poll
    under_way_[*ticket] = command;
    due_.erase(due_.begin());
  }
}

}  // namespace wayside::fleet
