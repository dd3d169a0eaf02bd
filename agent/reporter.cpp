// SPDX-License-Identifier: Apache-2.0
// The reporting loop.
#include "agent/reporter.h"

#include <algorithm>
#include <format>

#include "agent/ota/update_link.h"
#include "agent/service_manager.h"
#include "base/log.h"

namespace wayside::agent {
namespace {

namespace mqtt = base::mqtt;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// How long an orderly stop may spend on sending what waits, and on the goodbye. Together below systemd's 90 s by far.
constexpr seconds kDrainAtStop{3};
constexpr seconds kGoodbye{2};
/// Longest pause of the loop: bounds how late a spill or a health change is noticed.
constexpr milliseconds kLongestPause{500};
/// The pipeline counts as hung after this long when no watchdog period says otherwise.
constexpr seconds kHangLimit{30};
constexpr std::string_view kTelemetry = "telemetry";

mqtt::ClientOptions client_options(const Config& config) {
  const auto& from = config.mqtt;
  mqtt::ClientOptions options;
  options.host = from.host;
  options.port = static_cast<std::uint16_t>(from.port);
  options.client_id = config.device.id;
  options.tls = {.ca = from.tls.ca, .cert = from.tls.cert, .key = from.tls.key};
  options.username = from.username;
  options.password_file = from.password_file;
  options.keepalive = seconds(from.keepalive_s);
  options.reconnect_spread = seconds(from.reconnect_spread_s);
  options.session_expiry = seconds(from.session_expiry_s);
  options.will_delay = seconds(from.will_delay_s);
  return options;
}

}  // namespace

base::Result<std::unique_ptr<Reporter>> Reporter::create(const Config& config, Birth birth, Parts parts,
                                                         SystemStats& stats, base::Clock& clock) {
  std::unique_ptr<Reporter> reporter(new Reporter(config, std::move(birth), std::move(parts), stats, clock));
  auto options = client_options(config);
  options.make_will = [self = reporter.get()] { return self->make_will(); };
  WAYSIDE_TRY(reporter->client_, mqtt::Client::create(std::move(options), clock));
  return reporter;
}

Reporter::Reporter(const Config& config, Birth birth, Parts parts, SystemStats& stats, base::Clock& clock)
    : config_(config),
      birth_(std::move(birth)),
      topics_(config.mqtt.root, config.device.id),
      outbox_(std::move(parts.outbox)),
      epochs_(std::move(parts.epochs)),
      sequences_(std::move(parts.sequences)),
      stats_(stats),
      clock_(clock),
      boot_id_(stats.boot_id()),
      policy_(
          config.detections.publish == "on_change" ? DetectionPolicy::Kind::on_change : DetectionPolicy::Kind::every,
          config.detections.max_rate_hz),
      interval_(std::chrono::duration_cast<milliseconds>(std::chrono::duration<double>(config.telemetry.interval_s))),
      last_telemetry_(clock.now()),
      next_telemetry_(last_telemetry_ + interval_) {
  if (const auto period = ServiceManager::watchdog_period()) watchdog_half_ = *period / 2;
  for (std::size_t index = 0; index < birth_.models.size(); ++index)
    models_[static_cast<std::uint16_t>(index)] = birth_.models[index];
}

Reporter::~Reporter() = default;

Stamp Reporter::stamp() const { return {.wall = clock_.wall_now(), .uptime = clock_.now(), .boot_id = boot_id_}; }

void Reporter::request_stop() {
  stop_requested_ = true;
  wake();
}

Reporter::Totals Reporter::totals() const {
  return {.events = events_total_, .events_dropped = events_dropped(), .outbox_bytes = outbox_.bytes()};
}

void Reporter::wake() { client_->wake(); }

void Reporter::run(base::MonotonicTime deadline) {
  while (!stop_requested_ && clock_.now() < deadline) {
    const auto pause_until = std::min({clock_.now() + kLongestPause, deadline, next_telemetry_});
    if (const auto event = client_->wait(pause_until)) handle(*event);
    drain_reports();
    check_health();
    if (clock_.now() >= next_telemetry_) publish_telemetry();
    while (!client_->connected() && serve_link()) {
    }
    send_pending();
    spill_if_needed();
    feed_watchdog();
    if (pipeline_->ended() && pipeline_->reports().begin_pop() == nullptr) break;
  }
  finish();
}

// ---- connection
// ------------------------------------------------------------------------------------------------------

mqtt::Message Reporter::make_will() {
  if (const auto next = epochs_.next()) {
    epoch_ = *next;
  } else {
    // Without the disk the epoch still grows within this run.
    base::log_error("reporter event=epoch_not_kept reason=\"{}\"", next.error().message);
    ++epoch_;
  }
  return mqtt::json_message(topics_.health(), health_json({.up = false, .epoch = epoch_}, stamp()), 1, true);
}

void Reporter::handle(const mqtt::Event& event) {
  using Kind = mqtt::Event::Kind;
  switch (event.kind) {
    case Kind::connected: on_connected(); break;
    case Kind::connect_failed:
      base::log_warn(
          "mqtt event=unreachable broker={} reason=\"{}\" stored_bytes={} hint=\"is the broker running and "
          "mqtt.host/mqtt.port right? events are kept meanwhile\"",
          client_->address(), event.detail, outbox_.bytes());
      break;
    case Kind::lost: base::log_warn("mqtt event=lost broker={} reason=\"{}\"", client_->address(), event.detail); break;
    case Kind::acked:
    case Kind::dropped: {
      const bool delivered = event.kind == Kind::acked;
      if (const auto found = event_tickets_.find(event.ticket); found != event_tickets_.end()) {
        delivered ? outbox_.acked(found->second) : outbox_.give_back(found->second);
        event_tickets_.erase(found);
      } else if (const auto topic = retained_tickets_.find(event.ticket); topic != retained_tickets_.end()) {
        if (!delivered) unsent_.push_back(topic->second);
        retained_tickets_.erase(topic);
      }
      break;
    }
    case Kind::subscribe_failed: base::log_warn("mqtt event=subscribe_failed reason=\"{}\"", event.detail); break;
    case Kind::message: break;  // only the update link subscribes to anything
  }
  if (link_ != nullptr) pass_on(event);
}

void Reporter::on_connected() {
  ++connections_;
  const auto limits = client_->limits();
  base::log_info("mqtt event=connected broker={} epoch={} session_present={} max_packet_bytes={}", client_->address(),
                 epoch_, limits.session_present, limits.max_packet_bytes);
  // Everything retained is said again: a broker without persistence has forgotten it.
  unsent_.clear();
  retained_.clear();
  set_retained(topics_.device(), registration_json(config_.device));
  set_retained(topics_.service(), R"({"@type":"service","name":"agent","type":"service"})");
  set_retained(topics_.twin("software"), software_json(stamp(), stats_.image_facts()));
  set_retained(topics_.twin("hardware"),
               hardware_json(config_.device, birth_.board_model, birth_.camera, birth_.accelerators));
  set_retained(topics_.twin("runtime"), runtime_json(birth_.runtimes));
  for (const auto& model : birth_.models) set_retained(topics_.model(model.role), model_json(model, stamp()));
  set_retained(topics_.measurement_meta(kTelemetry), telemetry_meta_json());
  publish_health(true);
}

void Reporter::set_retained(std::string topic, std::string payload) {
  if (std::ranges::find(unsent_, topic) == unsent_.end()) unsent_.push_back(topic);
  retained_[std::move(topic)] = std::move(payload);
}

// ---- what goes out
// ---------------------------------------------------------------------------------------------------

void Reporter::publish_health(bool up) {
  published_state_ = pipeline_->state();
  set_retained(topics_.health(), health_json({.up = up, .epoch = epoch_, .pipeline = published_state_}, stamp()));
}

void Reporter::check_health() {
  const auto state = pipeline_->state();
  tell_service_manager(state);
  if (state.kind == published_state_.kind && state.reason == published_state_.reason) return;
  if (client_->connected()) {
    publish_health(true);
  } else {
    published_state_ = state;
  }
}

/// "running, broker connected": what `systemctl status` shows, and what decides whether a new system image is kept.
void Reporter::tell_service_manager(const PipelineState& state) {
  if (!ready_told_ && state.kind == PipelineState::Kind::starting) return;
  const std::string problem = also_healthy_ ? also_healthy_() : std::string();
  const auto status = !problem.empty() ? "the new system is not good: " + problem
                                       : std::format("{}, broker {}{}{}", to_string(state.kind),
                                                     client_->connected() ? "connected" : "away",
                                                     state.reason.empty() ? "" : ": ", state.reason);
  if (status == told_status_) return;
  ready_told_ ? ServiceManager::status(status) : ServiceManager::ready(status);
  ready_told_ = true;
  told_status_ = status;
}

void Reporter::drain_reports() {
  auto& reports = pipeline_->reports();
  while (const FrameReport* report = reports.begin_pop()) {
    if (policy_.accept(*report)) {
      report_detections(*report);
    } else {
      ++held_back_;
    }
    reports.end_pop();
  }
}

std::uint64_t Reporter::next_sequence() {
  if (const auto next = sequences_.next()) {
    disk_failed_ = false;
    // Segments of a lost state directory may hold higher numbers.
    return std::max(*next, outbox_.last_sequence() + 1);
  } else if (!disk_failed_) {
    disk_failed_ = true;
    base::log_error("reporter event=sequence_not_kept reason=\"{}\"", next.error().message);
  }
  return outbox_.last_sequence() + 1;
}

void Reporter::report_detections(const FrameReport& report) {
  const auto sequence = next_sequence();
  const Stamp taken{.wall = report.wall_time, .uptime = report.timestamp, .boot_id = boot_id_};
  const auto wall_ms = std::chrono::duration_cast<milliseconds>(report.wall_time.time_since_epoch()).count();
  outbox_.push({.sequence = sequence,
                .wall_ms = wall_ms,
                .topic = topics_.event("detection"),
                .payload = detection_json(report, model_of(report.model), sequence, taken)});
  ++events_total_;
}

void Reporter::publish_telemetry() {
  const auto now = clock_.now();
  const auto& counters = pipeline_->counters();
  Telemetry telemetry;
  telemetry.interval = now - last_telemetry_;
  telemetry.frames_in_total = counters.frames_in;
  telemetry.frames_processed_total = counters.frames_processed;
  telemetry.frames_dropped_total = counters.frames_dropped;
  telemetry.frames_skipped_total = counters.frames_skipped;
  telemetry.frames_failed_total = counters.frames_failed;
  telemetry.frames_in = telemetry.frames_in_total - last_.frames_in_total;
  telemetry.frames_processed = telemetry.frames_processed_total - last_.frames_processed_total;
  telemetry.frames_dropped = telemetry.frames_dropped_total - last_.frames_dropped_total;
  for (std::size_t stage = 0; stage < kStageCount; ++stage) {
    telemetry.stages[stage] = pipeline_->take_percentiles(static_cast<Stage>(stage));
  }
  telemetry.detections_total = counters.detections;
  telemetry.events_total = events_total_;
  telemetry.events_held_back_total = held_back_;
  telemetry.events_dropped_total = events_dropped();
  telemetry.outbox_bytes = outbox_.bytes();
  telemetry.reconnects_total = connections_ > 0 ? connections_ - 1 : 0;
  telemetry.degraded = pipeline_->state().kind == PipelineState::Kind::degraded;
  telemetry.usage = stats_.sample();

  last_telemetry_ = now;
  next_telemetry_ = std::max<base::MonotonicTime>(next_telemetry_ + interval_, now + interval_ / 2);
  last_ = telemetry;
  if (!window_open()) return;  // stale numbers are worth nothing later
  auto message = mqtt::json_message(topics_.measurement(kTelemetry), telemetry_json(telemetry, stamp()), 0, false);
  if (auto sent = client_->publish(message); !sent) {
    base::log_warn("mqtt event=telemetry_not_sent reason=\"{}\"", sent.error().message);
  }
}

bool Reporter::window_open() const {
  return client_->connected() && client_->in_flight() < client_->limits().max_in_flight;
}

void Reporter::send_pending() {
  while (window_open() && (send_retained() || serve_link() || send_events())) {
  }
}

/// Sends one retained message; false when none waits.
bool Reporter::send_retained() {
  if (unsent_.empty()) return false;
  const std::string topic = unsent_.front();
  unsent_.erase(unsent_.begin());
  const auto payload = retained_.find(topic);
  if (payload == retained_.end()) return true;  // of an earlier connection, and not wanted any more
  const auto ticket = client_->publish(mqtt::json_message(topic, payload->second, 1, true));
  if (ticket) {
    retained_tickets_[*ticket] = topic;
  } else {
    base::log_warn("mqtt event=not_sent topic={} reason=\"{}\"", topic, ticket.error().message);
  }
  return true;
}

/// Sends one event from the outbox; false when none waits.
bool Reporter::send_events() {
  auto record = outbox_.take();
  if (!record) return false;
  const auto ticket =
      client_->publish(mqtt::json_message(std::move(record->topic), std::move(record->payload), 1, false));
  if (ticket) {
    event_tickets_[*ticket] = record->sequence;
    return true;
  }
  base::log_warn("mqtt event=event_not_sent seq={} reason=\"{}\"", record->sequence, ticket.error().message);
  if (ticket.error().code == base::Code::invalid_argument) {
    outbox_.acked(record->sequence);  // this broker will never take it
    return true;
  }
  outbox_.give_back(record->sequence);
  return false;
}

void Reporter::spill_if_needed() {
  if (client_->connected() || !outbox_.spill_due()) return;
  if (auto spilled = outbox_.spill(); !spilled) {
    base::log_error("outbox event=disk_failed reason=\"{}\" hint=\"free space in {} or set outbox.dir\"",
                    spilled.error().message, config_.outbox.dir);
  }
}

void Reporter::feed_watchdog() {
  if (watchdog_half_.count() == 0 || clock_.now() < next_watchdog_) return;
  next_watchdog_ = clock_.now() + watchdog_half_ / 2;
  // Frames must progress; that this loop runs proves nothing about the camera and vision threads.
  const bool frames = pipeline_->progressing(std::max<std::chrono::nanoseconds>(watchdog_half_, kHangLimit));
  if (frames && (!also_alive_ || also_alive_())) ServiceManager::alive();
}

// ---- the update link
// -----------------------------------------------------------------------------------------------

void Reporter::attach(UpdateLink& link) {
  link_ = &link;
  link.on_wish([this] { wake(); });
}

void Reporter::pass_on(const mqtt::Event& event) {
  using Kind = mqtt::Event::Kind;
  if (event.kind == Kind::connected)
    link_->push({.kind = LinkEvent::Kind::connected,
                 .max_in_flight = static_cast<std::uint32_t>(client_->limits().max_in_flight)});
  if (event.kind == Kind::lost) link_->push({.kind = LinkEvent::Kind::lost});
  if (event.kind == Kind::message) link_->push({.kind = LinkEvent::Kind::message, .message = event.message});
}

/// Carries out one wish; false when there is none, or no room for it.
bool Reporter::serve_link() {
  if (link_ == nullptr) return false;
  if (!held_wish_) {
    auto next = link_->next_wish();
    if (!next) return false;
    held_wish_ = std::make_unique<LinkWish>(std::move(*next));
  }
  if (!carry_out(*held_wish_)) return false;
  held_wish_.reset();
  return true;
}

bool Reporter::carry_out(LinkWish& wish) {
  switch (wish.kind) {
    case LinkWish::Kind::publish:
      if (const auto sent = client_->publish(wish.message); !sent) {
        if (sent.error().code == base::Code::exhausted) return false;
        base::log_debug("mqtt event=not_sent topic={} reason=\"{}\"", wish.message.topic, sent.error().message);
      }
      break;
    case LinkWish::Kind::retain: set_retained(wish.message.topic, std::move(wish.message.payload)); break;
    case LinkWish::Kind::subscribe: client_->subscribe(wish.filter, wish.qos); break;
    case LinkWish::Kind::unsubscribe: client_->unsubscribe(wish.filter); break;
    case LinkWish::Kind::model: take_model(wish); break;
  }
  return true;
}

void Reporter::take_model(const LinkWish& wish) {
  constexpr std::size_t kMaxModels = 4;
  models_[wish.model_index] = wish.model;
  while (models_.size() > kMaxModels)
    models_.erase(models_.begin()->first == wish.model_index ? std::next(models_.begin()) : models_.begin());
  for (auto& model : birth_.models) {
    if (model.role == wish.model.role) model = wish.model;
  }
  set_retained(topics_.model(wish.model.role), model_json(wish.model, stamp()));
}

const ModelFacts& Reporter::model_of(std::uint16_t index) const {
  const auto found = models_.find(index);
  return found == models_.end() ? birth_.models.front() : found->second;
}

// ---- the end
// ---------------------------------------------------------------------------------------------------------

void Reporter::pump_until(base::MonotonicTime deadline, const std::function<bool()>& done) {
  while (client_->connected() && !done() && clock_.now() < deadline) {
    send_pending();
    if (const auto event = client_->wait(deadline)) handle(*event);
  }
}

void Reporter::finish() {
  ServiceManager::stopping();
  pipeline_->stop();
  drain_reports();
  // The last numbers, unless the interval is so short that its rates would mean nothing.
  if (next_telemetry_ - clock_.now() < interval_ / 2) publish_telemetry();
  pump_until(clock_.now() + kDrainAtStop, [this] { return outbox_.empty() && unsent_.empty(); });
  if (client_->connected()) {
    publish_health(false);
    pump_until(clock_.now() + kGoodbye, [this] { return unsent_.empty() && retained_tickets_.empty(); });
    client_->close(kGoodbye);
  }
  if (auto spilled = outbox_.spill(); !spilled) {
    base::log_error("outbox event=lost_at_stop reason=\"{}\"", spilled.error().message);
  }
  base::log_info("reporter event=stopped frames={} detections={} events={} stored_bytes={}",
                 pipeline_->counters().frames_processed.load(), pipeline_->counters().detections.load(), events_total_,
                 outbox_.bytes());
}

}  // namespace wayside::agent
