// SPDX-License-Identifier: Apache-2.0
// Payloads: the JSON texts that the agent publishes (docs/topics.md has every field).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "agent/frame_report.h"
#include "agent/histogram.h"
#include "agent/pipeline.h"
#include "agent/system_stats.h"

namespace wayside::agent {

/// When something was: on the wall clock, which may be wrong, and on the monotonic one of a named boot, which is not.
struct Stamp {
  std::chrono::system_clock::time_point wall{};
  std::chrono::nanoseconds uptime{0};
  std::string boot_id;
};

/// What is known about the running model; for twin/model/<role> and for labels.
struct ModelFacts {
  std::string role;
  std::string name;
  std::string version;
  std::string sha256;
  std::string variant;              ///< the accelerator's name, "cpu-int8"
  std::string state = "committed";  ///< or "trial", while an update is on probation
  std::string manifest_sha256{};    ///< empty: the model of the configuration
  std::vector<std::string> labels;
};

[[nodiscard]] std::string registration_json(const DeviceConfig& device);
/// `image_facts`: a JSON object that becomes "os"; anything else is left out.
[[nodiscard]] std::string software_json(const Stamp& stamp, std::string_view image_facts);
/// `accelerators`: one line each, as Accelerator::describe() gives it.
[[nodiscard]] std::string hardware_json(const DeviceConfig& device, std::string_view board_model,
                                        std::string_view camera, const std::vector<std::string>& accelerators);
[[nodiscard]] std::string runtime_json(const std::vector<std::pair<std::string, std::string>>& versions);
[[nodiscard]] std::string model_json(const ModelFacts& model, const Stamp& since);

struct Health {
  bool up = true;
  std::uint64_t epoch = 0;  ///< grows with each connection: a late "down" of an older one is told by it
  PipelineState pipeline;
};
[[nodiscard]] std::string health_json(const Health& health, const Stamp& stamp);

struct Telemetry {
  std::chrono::nanoseconds interval{0};
  std::uint64_t frames_in = 0, frames_processed = 0, frames_dropped = 0;  ///< in this interval
  std::uint64_t frames_in_total = 0, frames_processed_total = 0, frames_dropped_total = 0;
  std::uint64_t frames_skipped_total = 0, frames_failed_total = 0;
  std::array<Percentiles, kStageCount> stages{};
  std::uint64_t detections_total = 0;
  std::uint64_t events_total = 0, events_held_back_total = 0, events_dropped_total = 0;
  std::size_t outbox_bytes = 0;
  std::uint64_t reconnects_total = 0;
  bool degraded = false;
  Usage usage;
};
/// Flat numbers, "time" and "boot_id".
[[nodiscard]] std::string telemetry_json(const Telemetry& telemetry, const Stamp& stamp);
/// Unit of each number of telemetry_json.
[[nodiscard]] std::string telemetry_meta_json();

/// One frame's detections; `sequence` names the event for ever.
[[nodiscard]] std::string detection_json(const FrameReport& report, const ModelFacts& model, std::uint64_t sequence,
                                         const Stamp& stamp);

}  // namespace wayside::agent
