// SPDX-License-Identifier: Apache-2.0
// The control loop of a roll-out.
#include "fleet/rollout/driver.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <format>

#include "base/log.h"
#include "fleet/rollout/wire.h"

namespace wayside::fleet {
namespace {

namespace mqtt = base::mqtt;
using base::Result;
using Kind = mqtt::Event::Kind;

}  // namespace

Driver::Driver(RolloutStore& store, Rollout rollout, DriverOptions options, base::Clock& clock)
    : store_(store), rollout_(std::move(rollout)), options_(std::move(options)), clock_(clock) {}

Result<std::unique_ptr<Driver>> Driver::create(RolloutStore& store, const std::string& rollout, DriverOptions options,
                                               base::Clock& clock) {
  WAYSIDE_TRY(auto loaded, store.load(rollout));
  std::unique_ptr<Driver> driver(new Driver(store, std::move(loaded), std::move(options), clock));
  // A clean start: each connect brings all retained reports again, so none can be missed.
  driver->options_.mqtt.session_expiry = std::chrono::seconds(0);
  WAYSIDE_TRY(driver->client_, mqtt::Client::create(driver->options_.mqtt, clock));
  driver->client_->subscribe(reports_filter(driver->options_.root, driver->rollout_.policy), 1);
  driver->view_.connection = driver->client_->address() + " connecting";
  WAYSIDE_TRY(driver->view_.snapshot, store.snapshot(driver->rollout_.policy, driver->unix_now()));
  return driver;
}

std::int64_t Driver::unix_now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count();
}

Result<bool> Driver::poll(std::chrono::nanoseconds limit) {
  const auto deadline = clock_.now() + limit;
  std::vector<mqtt::Event> events;
  auto event = client_->wait(std::min(deadline, std::max(next_control_, clock_.now())));
  while (event) {
    events.push_back(std::move(*event));
    if (events.size() == kMaxBatch) break;
    event = client_->wait(clock_.now());
  }
  WAYSIDE_CHECK(handle(events));
  // Results are looked at before anything is started: a limit cannot be exceeded by more than what is in flight.
  if (clock_.now() >= next_control_) WAYSIDE_CHECK(control());
  if (client_->inbox_overflows() != overflows_) {
    overflows_ = client_->inbox_overflows();
    client_->subscribe(reports_filter(options_.root, rollout_.policy), 1);  // brings what was dropped again
  }
  send();
  return done(clock_.now());
}

Result<void> Driver::handle(const std::vector<mqtt::Event>& events) {
  if (events.empty()) return {};
  const auto messages = std::ranges::count(events, Kind::message, &mqtt::Event::kind);
  const auto each = [&]() -> Result<void> {
    for (const auto& event : events) {
      switch (event.kind) {
        case Kind::message: WAYSIDE_CHECK(on_message(event.message)); break;
        case Kind::connected: WAYSIDE_CHECK(on_connected()); break;
        case Kind::connect_failed:
        case Kind::lost:
          view_.connection = std::format("{}: {}", client_->address(), event.detail);
          policy_ticket_ = manifest_ticket_ = 0;  // the broker may have forgotten them
          break;
        case Kind::acked: under_way_.erase(event.ticket); break;
        case Kind::dropped:
          if (event.ticket == policy_ticket_) policy_ticket_ = 0;
          if (event.ticket == manifest_ticket_) manifest_ticket_ = 0;
          if (const auto found = under_way_.find(event.ticket); found != under_way_.end()) {
            outgoing_.insert(found->second);  // unless something newer waits for this device
            under_way_.erase(found);
          }
          break;
        case Kind::subscribe_failed:
          view_.connection = std::format("{} refuses the subscription ({}): may this user read all devices?",
                                         client_->address(), event.detail);
          break;
      }
    }
    return {};
  };
  return messages > 0 ? store_.batch(each) : each();
}

Result<void> Driver::on_message(const mqtt::Message& message) {
  const auto topic = parse_command_topic(options_.root, message.topic);
  if (!topic || topic->command != rollout_.policy.id) return {};
  const auto report = parse_report(message.payload);
  if (!report) {
    if (report.error().code == base::Code::corrupt)
      base::log_warn("rollout id={} device={} event=bad_report reason=\"{}\"", topic->command, topic->device,
                     report.error().message);
    return {};
  }
  WAYSIDE_TRY(const Recorded recorded,
              store_.record(topic->command, topic->device, *report, rollout_.policy.manifest_sha256, unix_now()));
  const bool terminal = report->status == "successful" || report->status == "failed";
  // The device keeps a result until it is confirmed. Sent after this transaction: send() is called later.
  if (terminal && recorded != Recorded::phantom) outgoing_[topic->device] = Sending::clear;
  if (recorded == Recorded::phantom)
    base::log_warn("rollout id={} device={} event=unexpected_report status={}", topic->command, topic->device,
                   report->status);
  return {};
}

Result<void> Driver::on_connected() {
  view_.connection.clear();
  under_way_.clear();
  WAYSIDE_TRY(const auto devices, store_.unheard(rollout_.policy.id));
  for (const auto& device : devices) outgoing_.try_emplace(device, Sending::command);
  return {};
}

Result<void> Driver::control() {
  next_control_ = clock_.now() + options_.interval;
  WAYSIDE_TRY(auto step, store_.step(rollout_.policy, unix_now()));
  for (const auto& device : step.recall) outgoing_[device] = Sending::clear;
  for (const auto& device : step.start) outgoing_[device] = Sending::command;
  WAYSIDE_TRY(view_.snapshot, store_.snapshot(rollout_.policy, unix_now()));
  view_.why = step.decision.why;
  const bool stopped = step.decision.state == RunState::halted || step.decision.state == RunState::aborted;
  if (!stopped)
    stopped_since_ = base::MonotonicTime(-1);
  else if (stopped_since_.count() < 0)
    stopped_since_ = clock_.now();
  return {};
}

void Driver::send() {
  if (!client_->connected()) return;
  const auto& policy = rollout_.policy;
  const auto publish = [this](mqtt::Ticket& ticket, std::string topic, const std::string& envelope) {
    if (ticket != 0 || envelope.empty()) return;
    const auto sent = client_->publish(mqtt::json_message(std::move(topic), envelope, 1, true));
    if (sent) ticket = *sent;
  };
  publish(manifest_ticket_, manifest_topic(options_.root, policy.manifest_sha256), rollout_.manifest);
  publish(policy_ticket_, policy_topic(options_.root, policy.id), rollout_.envelope);
  while (!outgoing_.empty()) {
    const auto [device, sending] = *outgoing_.begin();
    const auto message = sending == Sending::command ? command_message(options_.root, device, policy, unix_now())
                                                     : clear_message(options_.root, device, policy);
    const auto ticket = client_->publish(message);
    if (!ticket) return;  // window full or connection lost: at the next poll
    under_way_.emplace(*ticket, *outgoing_.begin());
    outgoing_.erase(outgoing_.begin());
  }
}

bool Driver::done(base::MonotonicTime now) const {
  if (!outgoing_.empty() || !under_way_.empty()) return false;
  const auto& seen = view_.snapshot;
  if (seen.state == RunState::completed) return true;
  if (stopped_since_.count() < 0) return false;
  const bool in_flight = std::ranges::any_of(seen.waves, [](const WaveCounts& wave) { return wave.in_flight > 0; });
  return !in_flight || now - stopped_since_ > options_.linger;
}

Result<RolloutLock> RolloutLock::take(const std::filesystem::path& database) {
  const auto path = database.string() + ".drive";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd.valid()) return base::fail_errno(path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return base::fail(base::Code::bad_state,
                      "another wayside drives roll-outs with this database; end it, or use its terminal");
  return RolloutLock(std::move(fd));
}

}  // namespace wayside::fleet
