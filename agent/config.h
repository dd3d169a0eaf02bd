// SPDX-License-Identifier: Apache-2.0
// Config: everything that can be set for one device, with its defaults; filled from one YAML file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wayside::agent {

class FieldVisitor;

struct DeviceConfig {
  std::string id;  ///< one MQTT topic level; empty: the host's name
  std::string name;
  std::string board;
};

struct TlsConfig {
  std::string ca, cert, key;
};

struct MqttConfig {
  std::string host = "localhost";
  std::int64_t port = 1883;
  std::string root = "te";
  TlsConfig tls;
  std::string username;
  std::string password_file;
  std::int64_t keepalive_s = 20;
  std::int64_t reconnect_spread_s = 0;
  std::int64_t will_delay_s = 30;
  std::int64_t session_expiry_s = 604800;
};

struct CameraConfig {
  std::string source = "v4l2:/dev/video0";
  std::int64_t width_px = 0;
  std::int64_t height_px = 0;
  double rate_hz = 0;
  bool lossless = false;
};

struct ModelConfig {
  std::string role = "detector";
  std::string file;
  std::string card;
  std::vector<std::string> accelerator = {"cpu-int8"};
  std::int64_t threads = 1;
  std::int64_t spin_us = 50;
  std::string cores = "any";  ///< any | big | little
  double rate_hz = 0;
  std::optional<double> score_threshold;
  std::vector<std::string> labels;
};

struct DetectionsConfig {
  std::string publish = "every";  ///< every | on_change
  double max_rate_hz = 10;
};

struct TelemetryConfig {
  double interval_s = 5;
};

struct OutboxConfig {
  std::string dir;  ///< empty: <state_dir>/outbox
  std::int64_t max_bytes = 16 * 1024 * 1024;
  std::int64_t max_age_s = 604800;
};

struct OtaConfig {
  bool enable = false;
  std::string dir;   ///< empty: <state_dir>/ota
  std::string root;  ///< the first root document
  std::int64_t max_bytes = 0;
  std::int64_t download_timeout_s = 86'400;
  std::string site;
  std::int64_t shadow_one_in = 1;
  std::int64_t probation_min_s = 0;
  std::int64_t max_rss_growth_bytes = 64 * 1024 * 1024;
  bool require_policy = true;
  std::vector<std::string> windows;  ///< "22:00-05:00", UTC
  std::string system_root = "/";
};

struct LogConfig {
  std::string level = "info";
};

struct SnapshotConfig {
  std::string dir;  ///< empty: none
  std::int64_t every_frames = 100;
};

struct Config {
  std::int64_t version = 1;
  DeviceConfig device;
  MqttConfig mqtt;
  CameraConfig camera;
  std::vector<ModelConfig> models;
  DetectionsConfig detections;
  TelemetryConfig telemetry;
  std::string state_dir;  ///< empty: $STATE_DIRECTORY, /var/lib/wayside for root, else under the home directory
  OutboxConfig outbox;
  OtaConfig ota;
  LogConfig log;
  SnapshotConfig snapshot;

  /// Tells `visitor` every field in order; the one place that knows names, ranges and help texts.
  void visit(FieldVisitor& visitor);
};

/// "mqtt.port=1884": one field by its path; lists by index ("models.0.file=x.tflite").
struct Override {
  std::string path;
  std::string value;
};
base::Result<Override> parse_override(std::string_view text);

/// Reads, overrides, completes (device id, state directory) and checks. Relative paths in the file start at the file's
/// folder, in overrides at the working directory. Errors are one line with file, line number and the nearest valid key.
base::Result<Config> load_config(const std::filesystem::path& file, const std::vector<Override>& overrides = {});

/// The effective configuration as YAML; has no secrets, because there are none: passwords stay in their files.
[[nodiscard]] std::string to_yaml(const Config& config);
/// The same in one line for the log: "device.id=gate-1 mqtt.host=broker.lan ...".
[[nodiscard]] std::string to_one_line(const Config& config);
/// JSON Schema (draft 2020-12) of the file, for editors.
[[nodiscard]] std::string config_schema();

}  // namespace wayside::agent
