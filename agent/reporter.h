// SPDX-License-Identifier: Apache-2.0
// Reporter: turns what the pipeline found into MQTT messages: birth, health, detections through the outbox, telemetry.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/detection_policy.h"
#include "agent/outbox.h"
#include "agent/payloads.h"
#include "agent/persistent_counter.h"
#include "agent/pipeline.h"
#include "agent/system_stats.h"
#include "agent/topics.h"
#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/result.h"

namespace wayside::agent {

class UpdateLink;
struct LinkWish;

/// What is said once per connection, retained.
struct Birth {
  std::string board_model;
  std::string camera;
  std::vector<std::string> accelerators;
  std::vector<std::pair<std::string, std::string>> runtimes;
  std::vector<ModelFacts> models;  ///< by index in the frame reports
};

/// One owner thread (the agent's main thread); request_stop() and wake() from any.
class Reporter {
 public:
  struct Parts {
    Outbox outbox;
    PersistentCounter epochs;
    PersistentCounter sequences;
  };

  /// Errors: those of mqtt::Client::create (files, client id). The broker need not be there.
  static base::Result<std::unique_ptr<Reporter>> create(const Config& config, Birth birth, Parts parts,
                                                        SystemStats& stats, base::Clock& clock);

  /// The pipeline whose reports are sent; must outlive run().
  void attach(Pipeline& pipeline) { pipeline_ = &pipeline; }

  /// Another part that uses this connection on a thread of its own; before run(), must outlive it.
  void attach(UpdateLink& link);
  /// Also asked before the watchdog is fed: false when that part hangs.
  void also_alive(std::function<bool()> check) { also_alive_ = std::move(check); }
  /// A problem that keeps a new system from being called good (tell_service_manager); empty: none. Before run().
  void also_healthy(std::function<std::string()> problem) { also_healthy_ = std::move(problem); }

  /// Works until request_stop(), until `deadline`, or until the pipeline has finished; then sends what it can within a
  /// bound, keeps the rest on disk, says "down" and disconnects.
  void run(base::MonotonicTime deadline);
  void request_stop();
  struct Totals {
    std::uint64_t events = 0, events_dropped = 0;
    std::size_t outbox_bytes = 0;
  };
  /// After run().
  [[nodiscard]] Totals totals() const;
  /// There is a new report. Short; allocates nothing.
  void wake();
  ~Reporter();

 private:
  Reporter(const Config& config, Birth birth, Parts parts, SystemStats& stats, base::Clock& clock);
  void handle(const base::mqtt::Event& event);
  void on_connected();
  base::mqtt::Message make_will();
  void drain_reports();
  void report_detections(const FrameReport& report);
  void publish_telemetry();
  void publish_health(bool up);
  void check_health();
  void tell_service_manager(const PipelineState& state);
  void send_pending();
  bool send_retained();
  bool send_events();
  bool serve_link();
  bool carry_out(LinkWish& wish);
  void pass_on(const base::mqtt::Event& event);
  void take_model(const LinkWish& wish);
  [[nodiscard]] const ModelFacts& model_of(std::uint16_t index) const;
  void spill_if_needed();
  void feed_watchdog();
  void finish();
  void pump_until(base::MonotonicTime deadline, const std::function<bool()>& done);
  void set_retained(std::string topic, std::string payload);
  [[nodiscard]] std::uint64_t events_dropped() const { return outbox_.dropped() + pipeline_->reports().refused(); }
  [[nodiscard]] bool window_open() const;
  [[nodiscard]] Stamp stamp() const;
  std::uint64_t next_sequence();

  const Config& config_;
  Birth birth_;
  Topics topics_;
  Outbox outbox_;
  PersistentCounter epochs_;
  PersistentCounter sequences_;
  SystemStats& stats_;
  base::Clock& clock_;
  std::string boot_id_;
  DetectionPolicy policy_;
  Pipeline* pipeline_ = nullptr;
  UpdateLink* link_ = nullptr;
  std::unique_ptr<LinkWish> held_wish_;  ///< for which there was no room yet
  std::function<bool()> also_alive_;
  std::function<std::string()> also_healthy_;
  /// By the index in the frame reports: the one that runs, and those before it whose reports may still wait.
  std::map<std::uint16_t, ModelFacts> models_;
  std::unique_ptr<base::mqtt::Client> client_;
  std::atomic<bool> stop_requested_{false};

  /// Retained messages: what each topic shall hold, and which of them the broker has not got yet (in this order).
  std::map<std::string, std::string> retained_;
  std::vector<std::string> unsent_;
  /// What each ticket under way carries: the sequence of an event, or a retained topic; telemetry is not followed.
  std::map<base::mqtt::Ticket, std::uint64_t> event_tickets_;
  std::map<base::mqtt::Ticket, std::string> retained_tickets_;

  std::uint64_t epoch_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t events_total_ = 0;
  std::uint64_t held_back_ = 0;
  Telemetry last_;  ///< totals at the last telemetry message
  std::chrono::milliseconds interval_{0};
  base::MonotonicTime last_telemetry_{0};
  base::MonotonicTime next_telemetry_{0};
  base::MonotonicTime next_watchdog_{0};
  std::chrono::nanoseconds watchdog_half_{0};  ///< 0: no watchdog
  PipelineState published_state_;
  bool ready_told_ = false;
  std::string told_status_;
  bool disk_failed_ = false;
};

}  // namespace wayside::agent
