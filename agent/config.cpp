// SPDX-License-Identifier: Apache-2.0
// The table of all configuration fields, and the checks that concern several of them.
#include "agent/config.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <format>

#include "agent/config_fields.h"
#include "agent/config_reader.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mqtt/message.h"
#include "ota/rollout_policy.h"

namespace wayside::agent {
namespace {

constexpr std::array<std::string_view, 2> kPublishPolicies = {"every", "on_change"};
constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};
/// See accel::CoreChoice.
constexpr std::array<std::string_view, 3> kCoreChoices = {"any", "big", "little"};
/// The pipeline runs one model on each frame; the key is a list, so that files stay valid when there can be more.
constexpr std::size_t kMaxModels = 1;

void visit_device(FieldVisitor& v, DeviceConfig& c) {
  v.text({"id", "Name of the device in MQTT topics and client id; default: the host's name"}, c.id);
  v.text({"name", "Name for people"}, c.name);
  v.text({"board", "Kind of board, e.g. rpi5-hailo8; default: what the system says"}, c.board);
}

void visit_tls(FieldVisitor& v, TlsConfig& c) {
  v.text({"ca", "PEM file with the authority of the broker's certificate; turns TLS on"}, c.ca, TextKind::path);
  v.text({"cert", "PEM file with the device's certificate"}, c.cert, TextKind::path);
  v.text({"key", "PEM file with the device's private key"}, c.key, TextKind::path);
}

void visit_mqtt(FieldVisitor& v, MqttConfig& c) {
  v.text({"host", "Broker's host name or address"}, c.host);
  v.integer({"port", "Broker's TCP port (8883 is usual with TLS)"}, c.port, {1, 65535});
  v.text({"root", "First level of all topics"}, c.root);
  v.section({"tls", "Encryption"}, [&c](FieldVisitor& inner) { visit_tls(inner, c.tls); });
  v.text({"username", "User name for the broker"}, c.username);
  v.text({"password_file", "File whose first line is the password"}, c.password_file, TextKind::path);
  v.integer({"keepalive_s", "The broker notices a dead device after 1.5 times this"}, c.keepalive_s, {5, 3600});
  v.integer(
      {"reconnect_spread_s",
       "Waits after a lost broker are drawn from at least this, so that a fleet does not come back at once (58 for "
       "10000 devices)"},
      c.reconnect_spread_s, {0, 3600});
  v.integer({"will_delay_s", "How long the broker waits after a loss before it says that the device is down"},
            c.will_delay_s, {0, 3600});
  v.integer({"session_expiry_s", "How long the broker keeps commands for an absent device"}, c.session_expiry_s,
            {0, 30 * 86400});
}

void visit_camera(FieldVisitor& v, CameraConfig& c) {
  v.text({"source", "v4l2:/dev/videoN, replay:PATH[?rate=HZ|fast][&loop=0|1] or synthetic:[seed=N]"}, c.source,
         TextKind::camera);
  v.integer({"width_px", "Wanted width; 0: the camera's choice"}, c.width_px, {0, 16384});
  v.integer({"height_px", "Wanted height; 0: the camera's choice"}, c.height_px, {0, 16384});
  v.number({"rate_hz", "Wanted frame rate; 0: the camera's choice"}, c.rate_hz, {0, 1000});
  v.flag({"lossless", "Replays only: wait for the model instead of leaving frames out"}, c.lossless);
}

void visit_model(FieldVisitor& v, ModelConfig& c) {
  v.text({"role", "What the model is for; names its topic"}, c.role);
  v.text({"file", "Full-integer INT8 .tflite file", true}, c.file, TextKind::path);
  v.text({"card", "Model card; default: NAME.yaml beside NAME.tflite, else derived from the model"}, c.card,
         TextKind::path);
  v.texts({"accelerator", "Accelerators in order of preference (see `wayside devices`)"}, c.accelerator);
  v.integer({"threads", "CPU threads; 0: one per core"}, c.threads, {0, 16});
  v.integer({"spin_us", "How long CPU threads wait awake for more work; 0 saves power and costs a little speed"},
            c.spin_us, {0, 10'000});
  v.choice({"cores", "CPU cores to use where they differ: any, big (the fast ones) or little (the frugal ones)"},
           c.cores, kCoreChoices);
  v.number({"rate_hz", "At most this many frames per second; 0: all"}, c.rate_hz, {0, 1000});
  v.optional_number({"score_threshold", "Weaker detections are not reported; default: the model card's"},
                    c.score_threshold, {0, 1});
  v.texts({"labels", "Only these labels are sought and reported, also where another scores higher; default: all"},
          c.labels);
}

void visit_ota(FieldVisitor& v, OtaConfig& c) {
  v.flag({"enable", "Take updates over MQTT and from USB sticks"}, c.enable);
  v.text({"dir", "Where packages, journal and installed models live; default: ota in state_dir"}, c.dir,
         TextKind::path);
  v.text({"root", "First root document: who may sign packages (wayside keys root)"}, c.root, TextKind::path);
  v.integer({"max_bytes", "An update may not fetch more than this; 0: what its command and policy say"}, c.max_bytes,
            {0, std::int64_t{1} << 40});
  v.integer({"download_timeout_s", "A download that takes longer is given up"}, c.download_timeout_s, {60, 30 * 86400});
  v.text({"site", "Devices of one site share each chunk that is sent; empty: chunks for this device alone"}, c.site);
  v.integer({"shadow_one_in", "Before it works, a new model sees at most one live frame in this many"}, c.shadow_one_in,
            {1, 1000});
  v.integer({"probation_min_s", "How long a new model is watched at least, whatever its package says"},
            c.probation_min_s, {0, 86400});
  v.integer({"max_rss_growth_bytes", "On probation the agent may grow by this"}, c.max_rss_growth_bytes,
            {1024 * 1024, std::int64_t{1} << 34});
  v.flag({"require_policy", "Nothing starts without a signed roll-out policy that admits this device"},
         c.require_policy);
  v.texts({"windows", "Updates begin only in these times of the day, UTC, e.g. [22:00-05:00]; default: at any time"},
          c.windows);
  v.text(
      {"system_root", "Where the system lies whose firmware RAUC updates; another folder for an agent in a container"},
      c.system_root, TextKind::path);
}

}  // namespace

void Config::visit(FieldVisitor& v) {
  v.integer({"version", "Version of this file's format", true}, version, {1, 1});
  v.section({"device", "Who this device is"}, [this](FieldVisitor& inner) { visit_device(inner, device); });
  v.section({"mqtt", "The broker"}, [this](FieldVisitor& inner) { visit_mqtt(inner, mqtt); });
  v.section({"camera", "Where pictures come from"}, [this](FieldVisitor& inner) { visit_camera(inner, camera); });
  v.items(
      {"models", "What runs on each picture", true}, models.size(), kMaxModels,
      [this](std::size_t count) { models.resize(count); },
      [this](std::size_t index, FieldVisitor& inner) { visit_model(inner, models[index]); });
  v.section({"detections", "How detections are published"}, [this](FieldVisitor& inner) {
    inner.choice({"publish", "every: each processed frame; on_change: when the number of objects of a label changes"},
                 detections.publish, kPublishPolicies);
    inner.number({"max_rate_hz", "At most this many detection messages per second"}, detections.max_rate_hz,
                 {0.1, 100000});
  });
  v.section({"telemetry", "How the device feels"}, [this](FieldVisitor& inner) {
    inner.number({"interval_s", "Seconds between two telemetry messages"}, telemetry.interval_s, {0.2, 3600});
  });
  v.text({"state_dir",
          "Where counters, the outbox and packed weights live; default: /var/lib/wayside or ~/.local/state/wayside"},
         state_dir, TextKind::path);
  v.section({"outbox", "Events that wait for the broker"}, [this](FieldVisitor& inner) {
    inner.text({"dir", "Default: outbox in state_dir"}, outbox.dir, TextKind::path);
    inner.integer({"max_bytes", "Beyond this the oldest events are dropped and counted"}, outbox.max_bytes,
                  {256 * 1024, std::int64_t{1} << 36});
    inner.integer({"max_age_s", "Older events are dropped and counted"}, outbox.max_age_s, {1, 365 * 86400});
  });
  v.section({"ota", "Updates over the air"}, [this](FieldVisitor& inner) { visit_ota(inner, ota); });
  v.section({"log", "What is written to standard error"}, [this](FieldVisitor& inner) {
    inner.choice({"level", "Least important line that is written"}, log.level, kLogLevels);
  });
  v.section({"snapshot", "Pictures with boxes, for setting up"}, [this](FieldVisitor& inner) {
    inner.text({"dir", "Folder for JPEG files; empty: none are written"}, snapshot.dir, TextKind::path);
    inner.integer({"every_frames", "One picture for this many processed frames"}, snapshot.every_frames,
                  {1, 1'000'000});
  });
}

namespace {

std::string host_id() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "wayside";
  std::string id(name.data());
  for (char& c : id) {
    if (!base::mqtt::check_topic_level("id", std::string_view(&c, 1))) c = '-';
  }
  return id.substr(0, 64);
}

std::string default_state_dir() {
  // STATE_DIRECTORY: systemd.exec(5), StateDirectory=. XDG_STATE_HOME: XDG Base Directory Specification 0.8.
  if (const char* given = std::getenv("STATE_DIRECTORY"); given != nullptr && *given != '\0') return given;
  if (::geteuid() == 0) return "/var/lib/wayside";
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg == '/')
    return std::string(xdg) + "/wayside";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "/tmp") + "/.local/state/wayside";
}

base::Result<void> check_ota(const OtaConfig& config) {
  if (config.enable && config.root.empty()) {
    return base::fail(base::Code::invalid_argument,
                      "ota.root: is missing; name the root document that says who may sign (wayside keys root)");
  }
  if (!config.site.empty()) WAYSIDE_CHECK(base::mqtt::check_topic_level("ota.site", config.site));
  for (const auto& window : config.windows) {
    if (auto parsed = ota::parse_day_window(window); !parsed)
      return std::unexpected(std::move(parsed.error().context("ota.windows")));
  }
  if (config.windows.size() > ota::RolloutPolicy::kMaxWindows) {
    return base::fail(base::Code::invalid_argument,
                      std::format("ota.windows: has {} entries; at most {} are possible", config.windows.size(),
                                  ota::RolloutPolicy::kMaxWindows));
  }
  return {};
}

base::Result<void> complete(Config& config) {
  if (config.device.id.empty()) config.device.id = host_id();
  if (config.device.name.empty()) config.device.name = config.device.id;
  if (config.state_dir.empty()) config.state_dir = default_state_dir();
  if (config.outbox.dir.empty()) config.outbox.dir = config.state_dir + "/outbox";
  if (config.ota.dir.empty()) config.ota.dir = config.state_dir + "/ota";
  WAYSIDE_CHECK(base::mqtt::check_topic_level("device.id", config.device.id));
  WAYSIDE_CHECK(base::mqtt::check_topic_level("mqtt.root", config.mqtt.root));
  if (config.models.empty()) {
    return base::fail(base::Code::invalid_argument, "models: is empty; name at least one model file");
  }
  for (std::size_t index = 0; index < config.models.size(); ++index) {
    const auto& model = config.models[index];
    WAYSIDE_CHECK(base::mqtt::check_topic_level(std::format("models.{}.role", index), model.role));
    if (model.accelerator.empty()) {
      return base::fail(base::Code::invalid_argument,
                        std::format("models.{}.accelerator: is empty; leave it out or write [cpu-int8]", index));
    }
  }
  return check_ota(config.ota);
}

}  // namespace

base::Result<Config> load_config(const std::filesystem::path& file, const std::vector<Override>& overrides) {
  WAYSIDE_TRY(Config config, read_config(file, overrides));
  if (auto checked = complete(config); !checked) {
    base::Error error = std::move(checked.error().context(file.string()));
    error.message = base::printable(std::move(error.message));  // it may quote a value
    return std::unexpected(std::move(error));
  }
  return config;
}

}  // namespace wayside::agent
