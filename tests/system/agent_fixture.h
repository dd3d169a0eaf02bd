// SPDX-License-Identifier: Apache-2.0
// AgentSystem: fixture of the system tests: the real programs, a real broker, a subscriber that reads the wire.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <format>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/system/agent_process.h"

namespace wayside::test {

using nlohmann::json;

/// Longest wait for anything; only a failing test takes so long. Generous: CI machines run many things at once.
inline constexpr std::chrono::seconds kPatience{90};

/// Folder with real models and videos: data/ in $WAYSIDE_SHARED, else in shared/ beside the source tree.
inline std::filesystem::path shared_folder() {
  const char* given = std::getenv("WAYSIDE_SHARED");
  return std::filesystem::path(given != nullptr ? given : WAYSIDE_DEFAULT_SHARED) / "data";
}

/// A subscriber to everything of one device.
class Wire {
 public:
  explicit Wire(std::uint16_t port) {
    base::mqtt::ClientOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    static int made = 0;
    options.client_id = std::format("wire-{}", ++made);  // one id for two clients would make them push each other out
    options.receive_maximum = 1000;
    client_ = std::move(*base::mqtt::Client::create(std::move(options)));
    client_->subscribe("te/#", 1);
    client_->subscribe("sentinel", 1);
    const auto deadline = base::Clock::real().now() + kPatience;
    while (!client_->connected() && base::Clock::real().now() < deadline) keep(client_->wait(deadline));
    EXPECT_TRUE(client_->connected());
    flush();  // the subscription is active once its own message came back
  }

  struct Received {
    std::string topic;
    json payload;
    bool retained;
    base::mqtt::Message message;
  };

  /// Waits until `wanted` is true of some message received so far or now.
  std::optional<Received> await(const std::function<bool(const Received&)>& wanted) {
    std::size_t looked_at = 0;
    const auto deadline = base::Clock::real().now() + kPatience;
    while (true) {
      for (; looked_at < received.size(); ++looked_at) {
        if (wanted(received[looked_at])) return received[looked_at];
      }
      if (base::Clock::real().now() >= deadline) return std::nullopt;
      keep(client_->wait(deadline));
    }
  }
  std::optional<Received> await_topic(std::string_view topic) {
    return await([&](const Received& got) { return got.topic == topic; });
  }
  /// Everything that the broker took before this call has been received when it returns.
  void flush() {
    const std::string name = std::to_string(++sentinels_);
    base::mqtt::Message message;
    message.topic = "sentinel";
    message.payload = name;
    ASSERT_TRUE(client_->publish(message));
    ASSERT_TRUE(
        await([&](const Received& got) { return got.topic == "sentinel" && got.payload == json::parse(name); }));
  }

  std::vector<Received> received;

 private:
  void keep(std::optional<base::mqtt::Event> event) {
    if (!event || event->kind != base::mqtt::Event::Kind::message) return;
    received.push_back({event->message.topic, json::parse(event->message.payload, nullptr, false),
                        event->message.retain, event->message});
  }
  std::unique_ptr<base::mqtt::Client> client_;
  int sentinels_ = 0;
};

class AgentSystem : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    for (const auto& candidate : {std::filesystem::path(WAYSIDE_SOURCE_DIR) / "models/street/street.tflite",
                                  shared_folder() / "models/int8/ssd_mobilenet_v1.tflite"}) {
      if (model_.empty() && std::filesystem::exists(candidate)) model_ = candidate;
    }
    if (model_.empty()) GTEST_SKIP() << "no model: neither models/street/street.tflite nor " << shared_folder();
  }

  struct Setup {
    std::uint16_t port = 1;
    std::string camera = "synthetic:seed=1";
    std::filesystem::path model{};
    std::string more{};  ///< further YAML lines
    std::filesystem::path program = WAYSIDE_AGENT_PROGRAM;
  };
  std::string write_config(const Setup& setup) {
    const auto path = dir_.path() / "agent.yaml";
    std::ofstream(path) << std::format(
        "version: 1\ndevice: {{id: dut, name: Device under test}}\n"
        "mqtt: {{host: 127.0.0.1, port: {}, will_delay_s: 0}}\ncamera: {{source: \"{}\"}}\n"
        "models: [{{role: detector, file: \"{}\"}}]\nstate_dir: {}/state\ntelemetry: {{interval_s: 0.5}}\n{}",
        setup.port, setup.camera, (setup.model.empty() ? model_ : setup.model).string(), dir_.path().string(),
        setup.more);
    return path.string();
  }
  std::unique_ptr<AgentProcess> start(const Setup& setup, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"--config", write_config(setup)});
    return std::make_unique<AgentProcess>(setup.program, arguments);
  }

  static constexpr const char* kHealth = "te/device/dut/service/agent/status/health";
  static constexpr const char* kDetection = "te/device/dut///e/detection";
  static constexpr const char* kTelemetry = "te/device/dut///m/telemetry";

  TempDir dir_;
  std::filesystem::path model_;
};

}  // namespace wayside::test
