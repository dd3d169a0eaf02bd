// SPDX-License-Identifier: Apache-2.0
// Formats what MonitorState knows.
#include "fleet/monitor_view.h"

#include <cmath>
#include <format>

namespace wayside::fleet {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

std::string value(const MonitorState& state, std::string_view name, std::string_view unit, double scale = 1,
                  int digits = 1) {
  const auto number = state.number(name);
  if (!number) return "-";
  return std::format("{:.{}f}{}{}", *number * scale, digits, unit.empty() ? "" : " ", unit);
}

std::string percentiles(const MonitorState& state, std::string_view stage) {
  return std::format("{:>9} {:>9} {:>9}", value(state, std::format("{}_p50_ms", stage), ""),
                     value(state, std::format("{}_p95_ms", stage), ""),
                     value(state, std::format("{}_p99_ms", stage), ""));
}

/// A bar of at most kBarWidth characters, one for each object per second.
std::string bar(double per_second) {
  constexpr double kBarWidth = 30;
  return std::string(static_cast<std::size_t>(std::lround(std::min(per_second, kBarWidth))), '#');
}

}  // namespace

std::vector<std::string> render_table(const MonitorState& state, const std::string& connection,
                                      base::MonotonicTime now) {
  const auto seconds = std::chrono::duration<double>(now - state.start()).count();
  std::vector<std::string> lines;
  lines.push_back(std::format("wayside monitor   {}   {:.0f} s", connection, seconds));
  lines.push_back(std::format("device   {:<24} {}", state.device().empty() ? "(none heard yet)" : state.device(),
                              state.health().empty() ? "?" : state.health()));
  lines.push_back(std::format("model    {}", state.model().empty() ? "-" : state.model()));
  lines.push_back("");
  lines.push_back(std::format("frames/s   in {:>6}   processed {:>6}   dropped {:>6}", value(state, "fps_in", ""),
                              value(state, "fps_processed", ""), value(state, "fps_dropped", "")));
  lines.push_back(std::format("agent      rss {}   cpu {}   temperature {}", value(state, "rss_bytes", "MiB", 1 / kMib),
                              value(state, "cpu_percent", "%", 1, 0),
                              value(state, "temperature_millic", "degC", 1e-3)));
  lines.push_back(std::format("outbox     {}   events {}   dropped {}", value(state, "outbox_bytes", "KiB", 1 / 1024.0),
                              value(state, "events_total", "", 1, 0), value(state, "events_dropped_total", "", 1, 0)));
  lines.push_back("");
  lines.push_back(std::format("{:<12} {:>9} {:>9} {:>9}", "ms", "p50", "p95", "p99"));
  for (const auto stage : {"queue", "decode", "preprocess", "inference", "postprocess", "total"}) {
    lines.push_back(std::format("{:<12} {}", stage, percentiles(state, stage)));
  }
  lines.push_back("");
  lines.push_back(std::format("{:<16} {:>8} {:>10}", "detections", "per s", "total"));
  for (const auto& [label, rate] : state.labels(now)) {
    lines.push_back(std::format("{:<16} {:>8.1f} {:>10} {}", label, rate.per_second, rate.total, bar(rate.per_second)));
  }
  return lines;
}

std::string render_line(const MonitorState& state, base::MonotonicTime now) {
  std::string line = std::format(
      "device={} health=\"{}\" fps_in={} fps_processed={} fps_dropped={} total_p50_ms={} total_p99_ms={} rss_mib={} "
      "cpu_percent={}",
      state.device(), state.health(), value(state, "fps_in", ""), value(state, "fps_processed", ""),
      value(state, "fps_dropped", ""), value(state, "total_p50_ms", ""), value(state, "total_p99_ms", ""),
      value(state, "rss_bytes", "", 1 / kMib), value(state, "cpu_percent", "", 1, 0));
  for (const auto& [label, rate] : state.labels(now)) line += std::format(" {}_per_s={:.1f}", label, rate.per_second);
  return line;
}

}  // namespace wayside::fleet
