// SPDX-License-Identifier: Apache-2.0
// MonitorState: what one device has said so far; filled message by message, asked by the live table and the final JSON.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace wayside::fleet {

/// One label's objects in published detection messages.
struct LabelRate {
  double per_second = 0;    ///< over kRateWindow
  std::uint64_t total = 0;  ///< since the monitor started
};

/// The whole observation as flat numbers; `docs/topics.md` names the telemetry that they come from.
struct MonitorSummary {
  std::string device;
  double seconds = 0;  ///< of observation
  std::uint64_t telemetry_messages = 0;
  std::uint64_t detection_messages = 0;
  std::uint64_t frames_processed = 0;  ///< the device's own count since its agent started
  std::uint64_t detections = 0;        ///< the same
  double fps = 0;                      ///< mean of fps_processed
  double p50_ms = 0;                   ///< camera to detections: the median of the intervals' p50 ...
  double p95_ms = 0;                   ///< ... and the worst intervals' p95 and p99, the first interval (start-up) left
  double p99_ms = 0;                   ///< out when there are others
  std::uint64_t rss_bytes = 0;         ///< largest
};

/// One owner thread. Messages come from a broker and are not trusted: whatever cannot be read is ignored and counted.
class MonitorState {
 public:
  /// Rates are over this time.
  static constexpr std::chrono::seconds kRateWindow{3};
  /// Labels beyond this are counted together as "other": a hostile device must not fill our memory.
  static constexpr std::size_t kMaxLabels = 64;

  /// `device` empty: the first device that is heard.
  MonitorState(std::string root, std::string device, base::MonotonicTime start);

  void on_message(std::string_view topic, std::string_view payload, base::MonotonicTime now);

  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] std::map<std::string, LabelRate> labels(base::MonotonicTime now) const;
  /// A number of the latest telemetry, e.g. "fps_in".
  [[nodiscard]] std::optional<double> number(std::string_view name) const;
  [[nodiscard]] const std::string& health() const { return health_; }  ///< "up", "up (degraded: reason)", "down", ""
  [[nodiscard]] const std::string& model() const { return model_; }    ///< "street 1.0 on cpu-int8"
  [[nodiscard]] bool heard() const { return telemetry_messages_ > 0; }
  [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }
  [[nodiscard]] MonitorSummary summary(base::MonotonicTime now) const;
  [[nodiscard]] base::MonotonicTime start() const { return start_; }

 private:
  struct Seen {
    base::MonotonicTime when;
    std::string label;
  };
  struct Interval {
    double fps = 0, p50_ms = 0, p95_ms = 0, p99_ms = 0;
  };
  void on_telemetry(std::string_view payload);
  void on_detection(std::string_view payload, base::MonotonicTime now);
  void on_health(std::string_view payload);
  void on_model(std::string_view payload);

  std::string root_;
  std::string device_;
  base::MonotonicTime start_;
  std::map<std::string, double, std::less<>> numbers_;
  std::vector<Interval> intervals_;
  std::map<std::string, std::uint64_t> totals_;
  std::deque<Seen> recent_;
  std::string health_;
  std::uint64_t last_up_epoch_ = 0;
  std::string model_;
  std::uint64_t telemetry_messages_ = 0;
  std::uint64_t detection_messages_ = 0;
  std::uint64_t unreadable_ = 0;
  std::uint64_t max_rss_bytes_ = 0;
};

[[nodiscard]] std::string to_json(const MonitorSummary& summary);

}  // namespace wayside::fleet
