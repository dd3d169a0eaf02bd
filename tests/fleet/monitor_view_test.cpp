// SPDX-License-Identifier: Apache-2.0
// The live table: before anything was heard, and with numbers.
#include "fleet/monitor_view.h"

#include <gtest/gtest.h>

namespace wayside::fleet {
namespace {

using std::chrono::seconds;

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  return all;
}

TEST(MonitorView, SaysWhenNothingWasHeard) {
  const MonitorState state("te", "", seconds(0));
  const auto table = joined(render_table(state, "mqtt://localhost:1883 connecting", seconds(2)));
  EXPECT_NE(table.find("none heard yet"), std::string::npos);
  EXPECT_NE(table.find("connecting"), std::string::npos);
}

TEST(MonitorView, ShowsNumbersAndFits80Columns) {
  MonitorState state("te", "gate-1", seconds(0));
  state.on_message("te/device/gate-1///m/telemetry",
                   R"({"fps_in":30,"fps_processed":29.94,"total_p50_ms":12.34,"total_p99_ms":40,"rss_bytes":31457280})",
                   seconds(1));
  state.on_message("te/device/gate-1///e/detection", R"({"detections":[{"label":"car"}]})", seconds(1));
  const auto lines = render_table(state, "mqtt://localhost:1883", seconds(2));
  const auto table = joined(lines);
  EXPECT_NE(table.find("29.9"), std::string::npos);
  EXPECT_NE(table.find("12.3"), std::string::npos);
  EXPECT_NE(table.find("30.0 MiB"), std::string::npos);
  EXPECT_NE(table.find("car"), std::string::npos);
  for (const auto& line : lines) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_NE(render_line(state, seconds(2)).find("car_per_s="), std::string::npos);
}

}  // namespace
}  // namespace wayside::fleet
