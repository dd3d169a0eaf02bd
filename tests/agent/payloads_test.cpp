// SPDX-License-Identifier: Apache-2.0
// Payloads: fields, units, and bytes that are not UTF-8.
#include "agent/payloads.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace wayside::agent {
namespace {

using nlohmann::json;

const Stamp kStamp{.wall = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)),
                   .uptime = std::chrono::milliseconds(81231),
                   .boot_id = "boot"};

TEST(Payloads, DetectionHasFractionsPixelsAndLabels) {
  auto report = std::make_unique<FrameReport>();
  report->frame = 42;
  report->width_px = 200;
  report->height_px = 100;
  report->count = 2;
  report->detections[0] = {.x0 = 20, .y0 = 10, .x1 = 100, .y1 = 50, .score = 0.87654F, .class_id = 1};
  report->detections[1] = {.x0 = 0, .y0 = 0, .x1 = 200, .y1 = 100, .score = 0.5F, .class_id = 7};
  report->times[static_cast<std::size_t>(Stage::total)] = std::chrono::microseconds(12'345);
  const ModelFacts model{.role = "detector", .name = "street", .version = "1", .labels = {"person", "car"}};
  const auto parsed = json::parse(detection_json(*report, model, 9, kStamp));
  EXPECT_EQ(parsed["time"], "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(parsed["uptime_ms"], 81231);
  EXPECT_EQ(parsed["boot_id"], "boot");
  EXPECT_EQ(parsed["seq"], 9);
  EXPECT_EQ(parsed["frame"], 42);
  EXPECT_EQ(parsed["model"]["role"], "detector");
  EXPECT_DOUBLE_EQ(parsed["latency_ms"].get<double>(), 12.345);
  EXPECT_EQ(parsed["detections"][0]["label"], "car");
  EXPECT_EQ(parsed["detections"][0]["score"], 0.877);
  EXPECT_EQ(parsed["detections"][0]["box"], json({0.1, 0.1, 0.5, 0.5}));
  EXPECT_EQ(parsed["detections"][0]["box_px"], json({20, 10, 100, 50}));
  EXPECT_EQ(parsed["detections"][1]["label"], "class_7");
}

TEST(Payloads, ACrowdStillFitsTheLargestMessage) {
  auto report = std::make_unique<FrameReport>();
  report->count = FrameReport::kMaxDetections;
  report->width_px = 16384;
  report->height_px = 16384;
  for (auto& found : report->detections) found = {.x0 = 10001, .y0 = 10001, .x1 = 16384, .y1 = 16384, .score = 0.999F};
  const ModelFacts model{.role = "detector", .labels = {std::string(64, 'l')}};
  EXPECT_LT(detection_json(*report, model, 1, kStamp).size(), 96U * 1024);
}

TEST(Payloads, HealthCarriesEpochAndReason) {
  const auto up =
      json::parse(health_json({.epoch = 5, .pipeline = {PipelineState::Kind::degraded, "no frame for 3 s"}}, kStamp));
  EXPECT_EQ(up["status"], "up");
  EXPECT_EQ(up["epoch"], 5);
  EXPECT_EQ(up["state"], "degraded");
  EXPECT_EQ(up["reason"], "no frame for 3 s");
  EXPECT_GT(up["pid"], 0);
  const auto down = json::parse(health_json({.up = false, .epoch = 6}, kStamp));
  EXPECT_EQ(down["status"], "down");
  EXPECT_FALSE(down.contains("state"));
}

TEST(Payloads, TelemetryIsFlatAndEveryNumberHasAUnit) {
  Telemetry telemetry;
  telemetry.interval = std::chrono::seconds(2);
  telemetry.frames_in = 60;
  telemetry.stages[static_cast<std::size_t>(Stage::total)] = {.count = 60, .p50_ms = 1, .p95_ms = 2, .p99_ms = 3};
  telemetry.usage.temperature_millic = 51000;
  const auto parsed = json::parse(telemetry_json(telemetry, kStamp));
  const auto units = json::parse(telemetry_meta_json());
  EXPECT_EQ(parsed["fps_in"], 30.0);
  EXPECT_EQ(parsed["total_p99_ms"], 3.0);
  EXPECT_FALSE(parsed.contains("decode_p50_ms"));  // nothing measured: absent
  for (const auto& [key, value] : parsed.items()) {
    if (key == "time" || key == "boot_id") continue;
    EXPECT_TRUE(value.is_number()) << key;
    EXPECT_TRUE(units.contains(key)) << key << " has no unit";
  }
}

TEST(Payloads, NamesThatAreNotUtf8DoNoHarm) {
  const auto parsed = json::parse(registration_json({.id = "a", .name = "caf\xE9", .board = "b"}));
  EXPECT_EQ(parsed["@id"], "a");
  EXPECT_EQ(parsed["type"], "edge-ai");
}

TEST(Payloads, SoftwareTwinTakesTheFactsOfAnImage) {
  const auto parsed = json::parse(software_json(kStamp, R"({"version":"2","slot":"B","rollback":null})"));
  EXPECT_EQ(parsed["os"]["slot"], "B");
  EXPECT_FALSE(json::parse(software_json(kStamp, "")).contains("os"));
  EXPECT_FALSE(json::parse(software_json(kStamp, "{\"slot\":")).contains("os"));
  EXPECT_FALSE(json::parse(software_json(kStamp, "[1]")).contains("os"));
}

TEST(Payloads, ModelTwinNamesHashAndState) {
  const auto parsed =
      json::parse(model_json({.role = "detector", .name = "street", .sha256 = "ab", .variant = "cpu-int8"}, kStamp));
  EXPECT_EQ(parsed["sha256"], "ab");
  EXPECT_EQ(parsed["variant"], "cpu-int8");
  EXPECT_EQ(parsed["state"], "committed");
}

}  // namespace
}  // namespace wayside::agent
