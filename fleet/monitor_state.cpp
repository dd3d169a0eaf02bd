// SPDX-License-Identifier: Apache-2.0
// Reads the messages of one device.
#include "fleet/monitor_state.h"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

namespace wayside::fleet {
namespace {

using Json = nlohmann::json;

/// Bounds of what is remembered from untrusted messages.
constexpr std::size_t kMaxRecent = 20'000;
constexpr std::size_t kMaxIntervals = 100'000;
constexpr std::size_t kMaxNumbers = 256;
constexpr std::size_t kMaxText = 200;

std::optional<double> number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

/// Text for a terminal: control characters from the network must not reach it.
std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return {};
  std::string text = found->get<std::string>().substr(0, kMaxText);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

MonitorState::MonitorState(std::string root, std::string device, base::MonotonicTime start)
    : root_(std::move(root)), device_(std::move(device)), start_(start) {}

void MonitorState::on_message(std::string_view topic, std::string_view payload, base::MonotonicTime now) {
  const std::string prefix = root_ + "/device/";
  if (!topic.starts_with(prefix)) return;
  std::string_view rest = topic.substr(prefix.size());
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0) return;
  const std::string_view id = rest.substr(0, slash);
  if (device_.empty()) device_ = id;
  if (id != device_) return;
  rest.remove_prefix(slash);
  if (rest == "///m/telemetry") return on_telemetry(payload);
  if (rest == "///e/detection") return on_detection(payload, now);
  if (rest == "/service/agent/status/health") return on_health(payload);
  if (rest.starts_with("///twin/model/")) return on_model(payload);
}

void MonitorState::on_telemetry(std::string_view payload) {
  const Json json = Json::parse(payload, nullptr, false);
  if (!json.is_object()) {
    ++unreadable_;
    return;
  }
  numbers_.clear();
  for (const auto& [key, value] : json.items()) {
    if (value.is_number() && numbers_.size() < kMaxNumbers) numbers_[key] = value.get<double>();
  }
  ++telemetry_messages_;
  max_rss_bytes_ = std::max(max_rss_bytes_, static_cast<std::uint64_t>(std::max(0.0, number("rss_bytes").value_or(0))));
  if (intervals_.size() < kMaxIntervals && number("total_p50_ms")) {
    intervals_.push_back({.fps = number("fps_processed").value_or(0),
                          .p50_ms = number("total_p50_ms").value_or(0),
                          .p95_ms = number("total_p95_ms").value_or(0),
                          .p99_ms = number("total_p99_ms").value_or(0)});
  }
}

void MonitorState::on_detection(std::string_view payload, base::MonotonicTime now) {
  const Json json = Json::parse(payload, nullptr, false);
  const auto list = json.is_object() ? json.find("detections") : json.end();
  if (!json.is_object() || list == json.end() || !list->is_array()) {
    ++unreadable_;
    return;
  }
  ++detection_messages_;
  for (const auto& found : *list) {
    if (!found.is_object()) continue;
    std::string label = text_in(found, "label");
    if (label.empty() || (!totals_.contains(label) && totals_.size() >= kMaxLabels)) label = "other";
    ++totals_[label];
    recent_.push_back({now, std::move(label)});
  }
  while (!recent_.empty() && (recent_.front().when < now - kRateWindow || recent_.size() > kMaxRecent)) {
    recent_.pop_front();
  }
}

void MonitorState::on_health(std::string_view payload) {
  const Json json = Json::parse(payload, nullptr, false);
  if (!json.is_object()) {
    ++unreadable_;
    return;
  }
  const auto epoch = static_cast<std::uint64_t>(std::max(0.0, number_in(json, "epoch").value_or(0)));
  const std::string status = text_in(json, "status");
  if (status == "up") {
    last_up_epoch_ = epoch;
    const std::string state = text_in(json, "state");
    const std::string reason = text_in(json, "reason");
    health_ = state == "degraded" ? std::format("up (degraded: {})", reason) : "up";
  } else if (epoch >= last_up_epoch_) {  // the late Will of an earlier connection says nothing
    health_ = "down";
  }
}

void MonitorState::on_model(std::string_view payload) {
  const Json json = Json::parse(payload, nullptr, false);
  if (!json.is_object()) {
    ++unreadable_;
    return;
  }
  const std::string version = text_in(json, "version");
  model_ =
      std::format("{}{}{} on {}", text_in(json, "name"), version.empty() ? "" : " ", version, text_in(json, "variant"));
}

std::optional<double> MonitorState::number(std::string_view name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

std::map<std::string, LabelRate> MonitorState::labels(base::MonotonicTime now) const {
  std::map<std::string, LabelRate> rates;
  for (const auto& [label, total] : totals_) rates[label].total = total;
  const auto window = std::min<std::chrono::nanoseconds>(
      kRateWindow, std::max<std::chrono::nanoseconds>(now - start_, std::chrono::seconds(1)));
  for (const auto& seen : recent_) {
    if (seen.when >= now - window) rates[seen.label].per_second += 1.0 / std::chrono::duration<double>(window).count();
  }
  return rates;
}

MonitorSummary MonitorState::summary(base::MonotonicTime now) const {
  MonitorSummary summary;
  summary.device = device_;
  summary.seconds = std::chrono::duration<double>(now - start_).count();
  summary.telemetry_messages = telemetry_messages_;
  summary.detection_messages = detection_messages_;
  summary.frames_processed = static_cast<std::uint64_t>(std::max(0.0, number("frames_processed_total").value_or(0)));
  summary.detections = static_cast<std::uint64_t>(std::max(0.0, number("detections_total").value_or(0)));
  summary.rss_bytes = max_rss_bytes_;
  std::vector<Interval> steady = intervals_;
  if (steady.size() > 1) steady.erase(steady.begin());
  std::vector<double> medians;
  for (const auto& interval : steady) {
    summary.fps += interval.fps / static_cast<double>(steady.size());
    medians.push_back(interval.p50_ms);
    summary.p95_ms = std::max(summary.p95_ms, interval.p95_ms);
    summary.p99_ms = std::max(summary.p99_ms, interval.p99_ms);
  }
  summary.p50_ms = median(std::move(medians));
  return summary;
}

std::string to_json(const MonitorSummary& summary) {
  const nlohmann::ordered_json json = {{"device", summary.device},
                                       {"seconds", summary.seconds},
                                       {"telemetry_messages", summary.telemetry_messages},
                                       {"detection_messages", summary.detection_messages},
                                       {"frames_processed", summary.frames_processed},
                                       {"detections", summary.detections},
                                       {"fps", summary.fps},
                                       {"p50_ms", summary.p50_ms},
                                       {"p95_ms", summary.p95_ms},
                                       {"p99_ms", summary.p99_ms},
                                       {"rss_bytes", summary.rss_bytes}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace wayside::fleet
