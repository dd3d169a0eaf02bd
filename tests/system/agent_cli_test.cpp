// SPDX-License-Identifier: Apache-2.0
// The operator's commands against the real agent and broker.
#include "tests/system/agent_fixture.h"

namespace wayside::test {
namespace {

using testing::HasSubstr;

TEST_F(AgentSystem, MonitorWritesItsSummary) {
  TestBroker broker;
  auto agent = start({.port = broker.port()});
  const auto file = dir_.path() / "summary.json";
  {
    Wire wire(broker.port());  // the agent is at work before the monitor's few seconds begin
    ASSERT_TRUE(wire.await_topic(kTelemetry)) << agent->errors();
  }
  const auto finished =
      run_to_end(WAYSIDE_FLEET_PROGRAM, {"monitor", "--host", "127.0.0.1", "--port", std::to_string(broker.port()),
                                         "--device", "dut", "--seconds", "6", "--json", file.string()});
  ASSERT_EQ(finished.exit_code, 0) << finished.errors << agent->errors();
  std::ifstream stream(file);
  const auto summary = json::parse(stream, nullptr, false);
  ASSERT_TRUE(summary.is_object());
  for (const char* key : {"frames_processed", "detections", "fps", "p50_ms", "p95_ms", "p99_ms", "rss_bytes"}) {
    ASSERT_TRUE(summary.contains(key)) << key;
    EXPECT_GE(summary[key], 0) << key;
  }
  EXPECT_GT(summary["frames_processed"], 0);
  EXPECT_GT(summary["p50_ms"], 0);
  EXPECT_GE(summary["p99_ms"], summary["p50_ms"]);
  EXPECT_THAT(finished.output, HasSubstr("device=dut"));  // lines, because it is not a terminal
}

TEST_F(AgentSystem, DevicesSchemaAndPrintAnswerThroughTheOperatorsTool) {
  const auto devices = run_to_end(WAYSIDE_FLEET_PROGRAM, {"devices", "--json"});
  ASSERT_EQ(devices.exit_code, 0) << devices.errors;
  EXPECT_EQ(json::parse(devices.output)["accelerators"][0]["name"], "cpu-int8");
  const auto schema = run_to_end(WAYSIDE_FLEET_PROGRAM, {"config", "schema"});
  ASSERT_EQ(schema.exit_code, 0) << schema.errors;
  EXPECT_TRUE(json::parse(schema.output)["properties"].contains("mqtt"));
  const auto print = run_to_end(WAYSIDE_FLEET_PROGRAM, {"config", "print", write_config({})});
  ASSERT_EQ(print.exit_code, 0) << print.errors;
  EXPECT_THAT(print.output, HasSubstr("keepalive_s: 20"));
}

TEST_F(AgentSystem, BenchMeasuresAModel) {
  const auto finished = run_to_end(WAYSIDE_FLEET_PROGRAM, {"bench", model_.string(), "--seconds", "1", "--json"});
  ASSERT_EQ(finished.exit_code, 0) << finished.errors;
  const auto result = json::parse(finished.output);
  EXPECT_GT(result["runs"], 0);
  EXPECT_GT(result["inference_ms"]["p50"], 0);
  EXPECT_GT(result["mac_count"], 0);
}

TEST_F(AgentSystem, OverlayPicturesAreWritten) {
  const auto folder = dir_.path() / "overlays";
  auto agent =
      start({.port = free_port()}, {"--run-for", "5", "--overlay-out", folder.string(), "--overlay-every", "3"});
  ASSERT_EQ(agent->wait(), 0) << agent->errors();
  int pictures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path().extension(), ".jpg") << entry.path();
    EXPECT_GT(entry.file_size(), 1000U);
    ++pictures;
  }
  EXPECT_GT(pictures, 0) << agent->errors();
}

}  // namespace
}  // namespace wayside::test
