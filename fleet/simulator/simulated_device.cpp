// SPDX-License-Identifier: Apache-2.0
// The behaviour of one simulated device.
#include "fleet/simulator/simulated_device.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "fleet/rollout/wire.h"

namespace wayside::fleet {
namespace {

namespace mqtt = base::mqtt;

constexpr std::size_t kMaxCommands = 16;  ///< kept per device; more are not taken
constexpr std::array<std::string_view, 4> kSteps{"download", "verify", "trial", "commit"};

bool terminal(const DeviceReport& report) { return report.status == "successful" || report.status == "failed"; }

/// The state after `report`, nothing else changed but the sequence number.
DeviceReport next_of(DeviceReport report, const SimulatedDeviceOptions& options) {
  ++report.seq;
  std::size_t at = 0;
  while (at < kSteps.size() && kSteps[at] != report.status) ++at;
  if (report.status == "trial" && options.fails) {
    report.status = "failed";
    report.step = "golden";
    report.code = "E-GATE-GOLDEN";
    report.reason = "golden set: outputs differ";
    return report;
  }
  if (report.status == "trial") {
    report.compared = options.compared;
    report.disagreed = options.disagreed;
  }
  report.status = at + 1 < kSteps.size() ? kSteps[at + 1] : "successful";
  report.step = report.status;
  report.progress_percent = static_cast<std::int64_t>(25 * (at + 1));
  return report;
}

}  // namespace

base::Result<std::unique_ptr<SimulatedDevice>> SimulatedDevice::create(SimulatedDeviceOptions options,
                                                                       SimulatedDisk& disk, base::Clock& clock) {
  std::unique_ptr<SimulatedDevice> device(new SimulatedDevice(std::move(options), disk, clock));
  WAYSIDE_TRY(device->client_, mqtt::Client::create(device->options_.mqtt, clock));
  device->client_->subscribe(commands_filter(device->options_.root, device->options_.mqtt.client_id), 1);
  device->client_->subscribe(policy_topic(device->options_.root, "+"), 1);
  return device;
}

void SimulatedDevice::poll() {
  using Kind = mqtt::Event::Kind;
  const auto now = clock_.now();
  while (const auto event = client_->wait(now)) {
    switch (event->kind) {
      case Kind::connected:
        ++connections_;
        under_way_.clear();
        // The disk is the truth: whatever the broker remembers, it is told again.
        for (const auto& [id, update] : disk_.updates) {
          if (!update.confirmed) due_[id] = true;
        }
        break;
      case Kind::message: on_message(event->message); break;
      case Kind::acked: under_way_.erase(event->ticket); break;
      case Kind::dropped:
        if (const auto found = under_way_.find(event->ticket); found != under_way_.end()) {
          due_[found->second] = true;
          under_way_.erase(found);
        }
        break;
      case Kind::connect_failed:
      case Kind::lost:
      case Kind::subscribe_failed: break;
    }
  }
  advance(now);
  publish_due();
}

void SimulatedDevice::on_message(const mqtt::Message& message) {
  if (const auto topic = parse_command_topic(options_.root, message.topic)) {
    if (topic->device == options_.mqtt.client_id) on_command(topic->command, message.payload);
    return;
  }
  auto policy = ota::parse_rollout_policy(message.payload);
  if (!policy || message.topic != policy_topic(options_.root, policy->id)) return;
  if (policies_.size() >= kMaxCommands) {  // one that no waiting command needs goes
    const auto idle =
        std::ranges::find_if(policies_, [this](const auto& one) { return !waiting_.contains(one.first); });
    if (idle != policies_.end()) policies_.erase(idle);
  }
  if (policies_.size() < kMaxCommands) policies_.insert_or_assign(policy->id, std::move(*policy));
}

void SimulatedDevice::on_command(const std::string& id, const std::string& payload) {
  const auto known = disk_.updates.find(id);
  if (payload.empty()) {  // taken back, or our result is confirmed
    waiting_.erase(id);
    if (known != disk_.updates.end() && terminal(known->second.report)) known->second.confirmed = true;
    return;
  }
  const auto command = parse_command(payload);
  if (!command) return;  // our own report, coming back
  if (known != disk_.updates.end()) {
    known->second.confirmed = false;
    due_[id] = true;
    return;
  }
  forget_oldest();
  if (waiting_.size() + disk_.updates.size() < kMaxCommands)
    waiting_[id] = {command->manifest_sha256, command->not_after_unix_s};
}

/// Makes room: a confirmed result need not be told again, and its command has been taken from the broker.
void SimulatedDevice::forget_oldest() {
  if (disk_.updates.size() + 1 < kMaxCommands) return;
  const auto settled = std::ranges::find_if(disk_.updates, [](const auto& one) { return one.second.confirmed; });
  if (settled != disk_.updates.end()) disk_.updates.erase(settled);
}

void SimulatedDevice::begin_admitted(std::int64_t unix_s) {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto& [id, wanted] = *at;
    const auto policy = policies_.find(id);
    const bool named = policy != policies_.end() && policy->second.manifest_sha256 == wanted.manifest_sha256;
    const bool open =
        !options_.enforce_policy ||
        (named && ota::admit(policy->second, options_.mqtt.client_id, unix_s).verdict == ota::Admission::Verdict::open);
    if (unix_s >= wanted.not_after_unix_s || !open) {
      ++at;
      continue;
    }
    DeviceReport report{.status = std::string(kSteps.front()),
                        .seq = 1,
                        .manifest_sha256 = wanted.manifest_sha256,
                        .step = std::string(kSteps.front())};
    disk_.updates[id] = {std::move(report), false, wanted.manifest_sha256};
    ++disk_.executions;
    due_[id] = true;
    at = waiting_.erase(at);
  }
}

void SimulatedDevice::advance(base::MonotonicTime now) {
  if (now < next_step_) return;
  next_step_ = now + options_.step_time;
  for (auto& [id, update] : disk_.updates) {
    if (terminal(update.report)) continue;
    update.report = next_of(std::move(update.report), options_);
    if (update.report.status == "successful") disk_.active_manifest = update.manifest_sha256;
    due_[id] = true;
  }
  begin_admitted(std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count());
}

void SimulatedDevice::publish_due() {
  while (!due_.empty() && client_->connected()) {
    const std::string id = due_.begin()->first;
    const auto ticket =
        client_->publish(report_message(options_.root, options_.mqtt.client_id, id, disk_.updates.at(id).report));
    if (!ticket) return;  // window full: at the next poll
    under_way_[*ticket] = id;
    due_.erase(due_.begin());
  }
}

}  // namespace wayside::fleet
