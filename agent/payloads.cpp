// SPDX-License-Identifier: Apache-2.0
// JSON building; the only file of the agent besides config_writer.cpp that includes the JSON library.
#include "agent/payloads.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <format>
#include <nlohmann/json.hpp>

#include "agent/version.h"
#include "base/clock.h"

namespace wayside::agent {
namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& json) {
  // Names come from configuration and model files: bytes that are not UTF-8 are replaced instead of thrown at.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::int64_t to_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

double to_fractional_ms(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e6; }

/// Three digits behind the point are enough for milliseconds, fractions of a picture and scores.
double rounded(double value) { return std::round(value * 1000) / 1000; }

void add_stamp(Json& json, const Stamp& stamp) {
  json["time"] = base::rfc3339(stamp.wall);
  json["uptime_ms"] = to_ms(stamp.uptime);
  json["boot_id"] = stamp.boot_id;
}

std::string label(const ModelFacts& model, std::int32_t class_id) {
  const auto index = static_cast<std::size_t>(class_id);
  return index < model.labels.size() ? model.labels[index] : std::format("class_{}", class_id);
}

}  // namespace

std::string registration_json(const DeviceConfig& device) {
  return text({{"@type", "device"},
               {"@id", device.id},
               {"name", device.name},
               {"type", "edge-ai"},
               {"board", device.board},
               {"schema", 1}});
}

std::string software_json(const Stamp& stamp, std::string_view image_facts) {
  utsname system{};
  Json json = {{"agent", kVersion}};
  if (::uname(&system) == 0) {
    json["kernel"] = system.release;
    json["machine"] = system.machine;
  }
  if (auto os = Json::parse(image_facts, nullptr, false); os.is_object()) json["os"] = std::move(os);
  add_stamp(json, stamp);
  return text(json);
}

std::string hardware_json(const DeviceConfig& device, std::string_view board_model, std::string_view camera,
                          const std::vector<std::string>& accelerators) {
  return text({{"board", device.board}, {"model", board_model}, {"camera", camera}, {"accelerators", accelerators}});
}

std::string runtime_json(const std::vector<std::pair<std::string, std::string>>& versions) {
  Json json = Json::object();
  for (const auto& [name, version] : versions) json[name] = version;
  return text(json);
}

std::string model_json(const ModelFacts& model, const Stamp& since) {
  Json json = {{"name", model.name},       {"version", model.version}, {"sha256", model.sha256},
               {"variant", model.variant}, {"state", model.state},     {"labels", model.labels}};
  if (!model.manifest_sha256.empty()) json["manifest_sha256"] = model.manifest_sha256;
  json["since"] = base::rfc3339(since.wall);
  return text(json);
}

std::string health_json(const Health& health, const Stamp& stamp) {
  Json json = {{"status", health.up ? "up" : "down"}, {"pid", ::getpid()}, {"epoch", health.epoch}};
  if (health.up) {
    json["state"] = to_string(health.pipeline.kind);
    if (!health.pipeline.reason.empty()) json["reason"] = health.pipeline.reason;
  }
  add_stamp(json, stamp);
  return text(json);
}

std::string telemetry_json(const Telemetry& telemetry, const Stamp& stamp) {
  Json json;
  add_stamp(json, stamp);
  const double seconds = std::max(std::chrono::duration<double>(telemetry.interval).count(), 1e-3);
  json["fps_in"] = rounded(static_cast<double>(telemetry.frames_in) / seconds);
  json["fps_processed"] = rounded(static_cast<double>(telemetry.frames_processed) / seconds);
  json["fps_dropped"] = rounded(static_cast<double>(telemetry.frames_dropped) / seconds);
  json["frames_in_total"] = telemetry.frames_in_total;
  json["frames_processed_total"] = telemetry.frames_processed_total;
  json["frames_dropped_total"] = telemetry.frames_dropped_total;
  json["frames_skipped_total"] = telemetry.frames_skipped_total;
  json["frames_failed_total"] = telemetry.frames_failed_total;
  for (std::size_t stage = 0; stage < kStageCount; ++stage) {
    const auto& percentiles = telemetry.stages[stage];
    if (percentiles.count == 0) continue;  // absent, not zero: nothing was measured
    json[std::format("{}_p50_ms", kStageNames[stage])] = rounded(percentiles.p50_ms);
    json[std::format("{}_p95_ms", kStageNames[stage])] = rounded(percentiles.p95_ms);
    json[std::format("{}_p99_ms", kStageNames[stage])] = rounded(percentiles.p99_ms);
  }
  json["detections_total"] = telemetry.detections_total;
  json["events_total"] = telemetry.events_total;
  json["events_held_back_total"] = telemetry.events_held_back_total;
  json["events_dropped_total"] = telemetry.events_dropped_total;
  json["outbox_bytes"] = telemetry.outbox_bytes;
  json["reconnects_total"] = telemetry.reconnects_total;
  json["degraded"] = telemetry.degraded ? 1 : 0;
  json["rss_bytes"] = telemetry.usage.rss_bytes;
  json["cpu_percent"] = rounded(telemetry.usage.cpu_percent);
  if (telemetry.usage.temperature_millic) json["temperature_millic"] = *telemetry.usage.temperature_millic;
  return text(json);
}

std::string telemetry_meta_json() {
  Json json = {{"fps_in", "Hz"},
               {"fps_processed", "Hz"},
               {"fps_dropped", "Hz"},
               {"frames_in_total", "1"},
               {"frames_processed_total", "1"},
               {"frames_dropped_total", "1"},
               {"frames_skipped_total", "1"},
               {"frames_failed_total", "1"}};
  for (const auto stage : kStageNames) {
    for (const auto percentile : {"p50", "p95", "p99"}) json[std::format("{}_{}_ms", stage, percentile)] = "ms";
  }
  for (const auto count : {"detections_total", "events_total", "events_held_back_total", "events_dropped_total"}) {
    json[count] = "1";
  }
  json["outbox_bytes"] = "byte";
  json["reconnects_total"] = "1";
  json["degraded"] = "0 or 1";
  json["rss_bytes"] = "byte";
  json["cpu_percent"] = "% of one core";
  json["temperature_millic"] = "0.001 degC";
  json["uptime_ms"] = "ms";
  return text(json);
}

std::string detection_json(const FrameReport& report, const ModelFacts& model, std::uint64_t sequence,
                           const Stamp& stamp) {
  Json json;
  add_stamp(json, stamp);
  json["seq"] = sequence;
  json["frame"] = report.frame;
  json["model"] = {{"role", model.role}, {"name", model.name}, {"version", model.version}};
  json["width_px"] = report.width_px;
  json["height_px"] = report.height_px;
  json["latency_ms"] = rounded(to_fractional_ms(report.times[static_cast<std::size_t>(Stage::total)]));
  json["inference_ms"] = rounded(to_fractional_ms(report.times[static_cast<std::size_t>(Stage::inference)]));
  Json detections = Json::array();
  const double width = std::max(report.width_px, 1U);
  const double height = std::max(report.height_px, 1U);
  for (std::size_t index = 0; index < report.count; ++index) {
    const Detection& found = report.detections[index];
    detections.push_back(
        {{"label", label(model, found.class_id)},
         {"score", rounded(found.score)},
         {"box",
          {rounded(found.x0 / width), rounded(found.y0 / height), rounded(found.x1 / width),
           rounded(found.y1 / height)}},
         {"box_px", {std::lround(found.x0), std::lround(found.y0), std::lround(found.x1), std::lround(found.y1)}}});
  }
  json["detections"] = std::move(detections);
  return text(json);
}

}  // namespace wayside::agent
