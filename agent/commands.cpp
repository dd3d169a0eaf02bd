// SPDX-License-Identifier: Apache-2.0
// check, devices and bench.
#include "agent/commands.h"

#include <cstdio>
#include <format>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/app.h"
#include "agent/histogram.h"
#include "agent/ota/model_loader.h"
#include "agent/ota/root_store.h"
#include "agent/system_stats.h"
#include "agent/topics.h"
#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/storage.h"
#include "drivers/camera/list.h"

namespace wayside::agent {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// How long `check` waits for the first picture and for the broker.
constexpr milliseconds kFirstPicture{5000};
constexpr seconds kBrokerPatience{5};

void print(const Json& json) { std::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str()); }

base::Result<std::string> check_model(const Config& config) {
  const auto& model = config.models.front();
  WAYSIDE_TRY(auto accelerator, choose_accelerator(model));
  WAYSIDE_TRY(const auto detector, load_detector(model, 0, *accelerator));
  return std::format("{} on {}", detector->describe(), accelerator->describe());
}

/// The root document, and the model that the store says: what runs at the next start, whatever models.0.file names.
base::Result<std::string> check_updates(const Config& config) {
  if (!config.ota.enable) return "off";
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(config.ota.dir));
  const auto roots = RootStore::open(storage, config.ota.root);
  if (!roots) return base::fail(base::Code::invalid_argument, describe(roots.error()));
  WAYSIDE_TRY(const auto slots, ota::Slots::load(storage));
  if (slots.damaged()) {
    return base::fail(
        base::Code::corrupt,
        std::format("{}/slots is damaged: the configured model runs; push a model again", config.ota.dir));
  }
  const auto& model = config.models.front();
  const auto slot = slots.slot(model.role);
  if (!slot.active)
    return std::format("root version {}; no model installed, the configured one runs", roots->current().version);
  WAYSIDE_TRY(auto accelerator, choose_accelerator(model));
  WAYSIDE_TRY(const auto store, ota::BlobStore::open(storage));
  ModelLoader loader(model, config.ota.dir, store, *accelerator, base::Clock::real());
  auto loaded = loader.load(slot.active);
  if (!loaded) {
    return std::unexpected(std::move(loaded.error().context(
        std::format("installed model {} (push it again, or another)", slot.active->manifest.hex()))));
  }
  return std::format("root version {}; {} {} {}, variant {}: {}", roots->current().version,
                     slot.active == slot.committed ? "committed" : "on trial", loaded->facts.name,
                     loaded->facts.version, slot.active->variant, loaded->description);
}

base::Result<std::string> check_camera(const Config& config) {
  WAYSIDE_TRY(auto open, open_configured_camera(config.camera));
  WAYSIDE_CHECK(open.camera->start());
  auto frame = open.camera->next(kFirstPicture);
  const std::string text =
      std::format("{} {} {}x{} {:.1f} Hz", open.camera->describe(), base::to_string(open.format.format),
                  open.format.width_px, open.format.height_px, open.format.rate_hz);
  const bool pictured = frame.has_value();
  base::Error error = pictured ? base::Error{} : frame.error();
  frame = drivers::Frame();  // given back before the camera stops
  open.camera->stop();
  if (!pictured) return std::unexpected(std::move(error.context(open.camera->describe() + ": no picture")));
  return text;
}

base::Result<std::string> check_state(const Config& config) {
  for (const auto& folder : {config.state_dir, config.outbox.dir}) {
    WAYSIDE_TRY(auto storage, base::DiskStorage::open(folder));
    WAYSIDE_CHECK(base::replace_file(storage, ".check", {}));
    WAYSIDE_CHECK(storage.remove(".check"));
  }
  return config.state_dir;
}

base::Result<std::string> check_broker(const Config& config) {
  base::mqtt::ClientOptions options;
  options.host = config.mqtt.host;
  options.port = static_cast<std::uint16_t>(config.mqtt.port);
  options.client_id = config.device.id + ".check";  // not the agent's own id: that would throw a running agent off
  options.tls = {.ca = config.mqtt.tls.ca, .cert = config.mqtt.tls.cert, .key = config.mqtt.tls.key};
  options.username = config.mqtt.username;
  options.password_file = config.mqtt.password_file;
  options.connect_timeout = kBrokerPatience;
  WAYSIDE_TRY(auto client, base::mqtt::Client::create(std::move(options)));
  const auto deadline = base::Clock::real().now() + kBrokerPatience;
  while (base::Clock::real().now() < deadline) {
    const auto event = client->wait(deadline);
    if (!event) continue;
    if (event->kind == base::mqtt::Event::Kind::connected) {
      client->close(seconds(1));
      return client->address();
    }
    if (event->kind == base::mqtt::Event::Kind::connect_failed) {
      const auto reason = event->detail.substr(0, event->detail.find("; next attempt"));
      return base::fail(base::Code::disconnected,
                        std::format("{}: {}; is the broker running, and are mqtt.host and mqtt.port right?",
                                    client->address(), reason));
    }
  }
  return base::fail(base::Code::timeout, std::format("{}: no answer within {} s; is a firewall in between?",
                                                     client->address(), kBrokerPatience.count()));
}

Json percentiles_json(const Percentiles& percentiles) {
  return {{"p50", percentiles.p50_ms},
          {"p95", percentiles.p95_ms},
          {"p99", percentiles.p99_ms},
          {"max", percentiles.max_ms}};
}

/// A grey picture of 1280x720 in NV12, the format and size of many cameras.
class TestPicture {
 public:
  TestPicture() : pixels_(kWidth * kHeight * 3 / 2, 128) {}
  [[nodiscard]] base::ImageView view() const {
    base::ImageView image;
    image.format = base::PixelFormat::nv12;
    image.width_px = kWidth;
    image.height_px = kHeight;
    image.planes[0] = {.data = pixels_.data(), .stride_bytes = kWidth, .size_bytes = kWidth * kHeight};
    image.planes[1] = {
        .data = pixels_.data() + kWidth * kHeight, .stride_bytes = kWidth, .size_bytes = kWidth * kHeight / 2};
    return image;
  }

 private:
  static constexpr std::uint32_t kWidth = 1280;
  static constexpr std::uint32_t kHeight = 720;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace

int check_command(const Config& config, Output output) {
  struct Part {
    const char* name;
    base::Result<std::string> (*check)(const Config&);
  };
  constexpr Part kParts[] = {{"model", check_model},
                             {"updates", check_updates},
                             {"camera", check_camera},
                             {"state", check_state},
                             {"broker", check_broker}};
  bool all_good = true;
  Json json = Json::object();
  for (const auto& part : kParts) {
    const auto result = part.check(config);
    all_good = all_good && result.has_value();
    const std::string& text = result ? *result : result.error().message;
    json[part.name] = {{"ok", result.has_value()}, {result ? "found" : "error", text}};
    if (output == Output::text) std::printf("%-7s %-6s %s\n", part.name, result ? "ok" : "FAILED", text.c_str());
  }
  json["ok"] = all_good;
  if (output == Output::json) print(json);
  return all_good ? 0 : 1;
}

int devices_command(Output output) {
  Json json = {{"accelerators", Json::array()}, {"cameras", Json::array()}};
  for (const auto& accelerator : available_accelerators()) {
    json["accelerators"].push_back({{"name", accelerator->name()}, {"description", accelerator->describe()}});
  }
  for (const auto& camera : drivers::list_cameras()) {
    Json entry = {
        {"source", "v4l2:" + camera.path}, {"name", camera.name}, {"bus", camera.bus}, {"formats", camera.formats}};
    if (!camera.problem.empty()) entry["problem"] = camera.problem;
    json["cameras"].push_back(std::move(entry));
  }
  SystemStats stats(base::Clock::real());
  json["board"] = stats.board_model();
  if (const auto usage = stats.sample(); usage.temperature_millic)
    json["temperature_millic"] = *usage.temperature_millic;
  if (output == Output::json) {
    print(json);
    return 0;
  }
  std::printf("board        %s\n", stats.board_model().c_str());
  for (const auto& entry : json["accelerators"]) {
    std::printf("accelerator  %-10s %s\n", entry["name"].get<std::string>().c_str(),
                entry["description"].get<std::string>().c_str());
  }
  for (const auto& entry : json["cameras"]) {
    std::printf("camera       %-18s %s %s\n", entry["source"].get<std::string>().c_str(),
                entry["name"].get<std::string>().c_str(), entry.value("problem", std::string()).c_str());
  }
  if (json["cameras"].empty()) std::puts("camera       none found; synthetic: and replay:PATH need none");
  return 0;
}

int bench_command(const BenchOptions& options, Output output) {
  base::Clock& clock = base::Clock::real();
  SystemStats stats(clock);
  const auto rss_before = stats.sample().rss_bytes;
  auto accelerator = accel::make_cpu_accelerator();
  const auto load_start = clock.now();
  auto detector = Detector::create({.file = options.model, .thread_count = options.thread_count}, *accelerator, clock);
  if (!detector) {
    std::fprintf(stderr, "waysided: %s\n", detector.error().message.c_str());
    return 1;
  }
  const double load_ms = std::chrono::duration<double, std::milli>(clock.now() - load_start).count();

  const TestPicture picture;
  auto report = std::make_unique<FrameReport>();
  std::array<Histogram, kStageCount> histograms;
  double first_ms = 0;
  std::uint64_t runs = 0;
  constexpr std::uint64_t kWarmUpRuns = 3;  // caches and branch predictors; the first alone is reported
  const auto run = [&]() -> base::Result<void> {
    const auto start = clock.now();
    report->times = {};
    WAYSIDE_CHECK((*detector)->process(picture.view(), *report));
    report->times[static_cast<std::size_t>(Stage::total)] = clock.now() - start;
    return {};
  };
  auto deadline = base::MonotonicTime::max();
  auto steady_start = clock.now();
  while (clock.now() < deadline) {
    if (auto done = run(); !done) {
      std::fprintf(stderr, "waysided: %s: %s\n", options.model.c_str(), done.error().message.c_str());
      return 1;
    }
    if (runs == 0) first_ms = std::chrono::duration<double, std::milli>(report->times.back()).count();
    if (++runs == kWarmUpRuns) {
      steady_start = clock.now();
      deadline = steady_start + options.duration;
    }
    if (runs <= kWarmUpRuns) continue;
    for (std::size_t stage = 0; stage < kStageCount; ++stage) histograms[stage].record(report->times[stage]);
  }
  const double steady_s = std::chrono::duration<double>(clock.now() - steady_start).count();
  const auto& info = (*detector)->session().info();
  Json json = {{"model", options.model.string()},
               {"accelerator", accelerator->describe()},
               {"threads", options.thread_count},
               {"load_ms", load_ms},
               {"first_run_ms", first_ms},
               {"runs", runs - kWarmUpRuns},
               {"fps", static_cast<double>(runs - kWarmUpRuns) / steady_s},
               {"mac_count", info.mac_count},
               {"arena_bytes", info.arena_bytes},
               {"weight_bytes", info.weight_bytes},
               {"rss_bytes", stats.sample().rss_bytes},
               {"rss_before_bytes", rss_before}};
  for (const auto stage : {Stage::preprocess, Stage::inference, Stage::postprocess, Stage::total}) {
    const auto index = static_cast<std::size_t>(stage);
    json[std::format("{}_ms", kStageNames[index])] = percentiles_json(histograms[index].take());
  }
  if (output == Output::json) {
    print(json);
  } else {
    for (const auto& [key, value] : json.items()) std::printf("%-18s %s\n", key.c_str(), value.dump().c_str());
  }
  return 0;
}

}  // namespace wayside::agent
