// SPDX-License-Identifier: Apache-2.0
// MonitorState: what it makes of messages, good and hostile.
#include "fleet/monitor_state.h"

#include <gtest/gtest.h>

#include <format>
#include <nlohmann/json.hpp>

namespace wayside::fleet {
namespace {

using std::chrono::seconds;

constexpr std::string_view kTelemetry = "te/device/a///m/telemetry";
constexpr std::string_view kDetection = "te/device/a///e/detection";
constexpr std::string_view kHealth = "te/device/a/service/agent/status/health";

std::string telemetry(double fps, double p50, double p99, int frames) {
  return std::format(
      R"({{"fps_processed":{},"total_p50_ms":{},"total_p95_ms":{},"total_p99_ms":{},"frames_processed_total":{},)"
      R"("detections_total":7,"rss_bytes":1000}})",
      fps, p50, p99, p99, frames);
}

TEST(MonitorState, TakesTheFirstDeviceAndStaysWithIt) {
  MonitorState state("te", "", seconds(0));
  state.on_message(kTelemetry, telemetry(10, 1, 2, 5), seconds(1));
  state.on_message("te/device/b///m/telemetry", telemetry(99, 1, 2, 5), seconds(1));
  EXPECT_EQ(state.device(), "a");
  EXPECT_EQ(state.number("fps_processed"), 10);
  EXPECT_FALSE(state.number("nothing"));
}

TEST(MonitorState, RatesAreOverTheWindow) {
  MonitorState state("te", "a", seconds(0));
  for (int second = 0; second < 10; ++second) {
    state.on_message(kDetection, R"({"detections":[{"label":"car"},{"label":"car"},{"label":"person"}]})",
                     seconds(second));
  }
  const auto labels = state.labels(seconds(9));
  EXPECT_EQ(labels.at("car").total, 20U);
  EXPECT_NEAR(labels.at("car").per_second, 8.0 / 3, 0.01);  // four messages lie in the last 3 s
  EXPECT_EQ(state.labels(seconds(60)).at("car").per_second, 0);
}

TEST(MonitorState, SummaryLeavesTheStartUpIntervalOut) {
  MonitorState state("te", "a", seconds(0));
  state.on_message(kTelemetry, telemetry(1, 500, 900, 5), seconds(1));
  state.on_message(kTelemetry, telemetry(20, 10, 30, 25), seconds(2));
  state.on_message(kTelemetry, telemetry(30, 12, 40, 55), seconds(3));
  const auto summary = state.summary(seconds(4));
  EXPECT_DOUBLE_EQ(summary.fps, 25);
  EXPECT_DOUBLE_EQ(summary.p50_ms, 12);
  EXPECT_DOUBLE_EQ(summary.p99_ms, 40);
  EXPECT_EQ(summary.frames_processed, 55U);
  EXPECT_EQ(summary.detections, 7U);
  EXPECT_EQ(summary.rss_bytes, 1000U);
  const auto json = nlohmann::json::parse(to_json(summary));
  EXPECT_EQ(json["frames_processed"], 55);
}

TEST(MonitorState, ALateWillOfAnEarlierEpochIsIgnored) {
  MonitorState state("te", "a", seconds(0));
  state.on_message(kHealth, R"({"status":"up","epoch":5,"state":"degraded","reason":"no frame"})", seconds(1));
  EXPECT_EQ(state.health(), "up (degraded: no frame)");
  state.on_message(kHealth, R"({"status":"down","epoch":4})", seconds(2));
  EXPECT_EQ(state.health(), "up (degraded: no frame)");
  state.on_message(kHealth, R"({"status":"down","epoch":5})", seconds(3));
  EXPECT_EQ(state.health(), "down");
}

TEST(MonitorState, HostileMessagesAreCountedAndHarmless) {
  MonitorState state("te", "a", seconds(0));
  for (const std::string_view bad : {"", "{", "[]", "1", "\xff\xfe", "{\"detections\":{}}"}) {
    state.on_message(kTelemetry, bad, seconds(1));
    state.on_message(kDetection, bad, seconds(1));
    state.on_message(kHealth, bad, seconds(1));
    state.on_message("te/device/a///twin/model/x", bad, seconds(1));
  }
  EXPECT_GT(state.unreadable(), 10U);
  for (int index = 0; index < 500; ++index) {
    state.on_message(kDetection, std::format(R"({{"detections":[{{"label":"l{}"}},5,null]}})", index), seconds(1));
  }
  EXPECT_LE(state.labels(seconds(1)).size(), MonitorState::kMaxLabels + 1);
  state.on_message(kDetection, R"({"detections":[{"label":"\u001b[2Jx"}]})", seconds(1));
  for (const auto& [label, rate] : state.labels(seconds(1))) EXPECT_EQ(label.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace wayside::fleet
