// SPDX-License-Identifier: Apache-2.0
// AgentUpdate: fixture with a broker, a chunk server, an operator, and the agent that takes updates.
#pragma once

#include "tests/system/ota_agent/update_world.h"

namespace wayside::test {

class AgentUpdate : public AgentSystem {
 protected:
  void SetUp() override {
    AgentSystem::SetUp();
    if (IsSkipped()) return;
    model_ = std::filesystem::path(WAYSIDE_SOURCE_DIR) / "models/street/street.tflite";
    world_ = std::make_unique<UpdateWorld>(dir_.path() / "operator", model_);
    operator_ = std::make_unique<Operator>(broker_.port());
    server_ = world_->serve(broker_.port());
    wire_ = std::make_unique<Wire>(broker_.port());
  }
  void start_agent(const std::string& more = {}) {
    agent_ = start({.port = broker_.port(), .more = world_->config(more)});
  }
  static std::int64_t later() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
               .count() +
           3600;
  }
  void push(const std::string& id, const ota::Digest& manifest, std::uint64_t max_bytes = 0) {
    published_ = manifest;
    operator_->publish_manifest(*world_, manifest);
    operator_->command(id, manifest, later(), max_bytes);
  }
  /// The first message about this command that satisfies `wanted`.
  json await_report(const std::string& id, const std::function<bool(const json&)>& wanted) {
    const auto got = wire_->await([&](const auto& one) {
      return one.topic == update_topic(id) && one.payload.is_object() && wanted(one.payload);
    });
    EXPECT_TRUE(got) << id << ": " << agent_->errors();
    return got ? got->payload : json::object();
  }
  json await_end(const std::string& id) {
    return await_report(
        id, [](const json& report) { return report["status"] == "successful" || report["status"] == "failed"; });
  }
  /// The retained twin says that this version runs, in this state.
  bool runs(const std::string& version, const std::string& state = "committed") {
    return wire_
        ->await([&](const auto& one) {
          return one.topic == "te/device/dut///twin/model/detector" && one.payload["version"] == version &&
                 one.payload["state"] == state;
        })
        .has_value();
  }
  json last_twin() {
    json last;
    wire_->flush();
    for (const auto& one : wire_->received)
      if (one.topic == "te/device/dut///twin/model/detector") last = one.payload;
    return last;
  }

  TestBroker broker_;
  ota::Digest published_{};  ///< the last one that was pushed
  std::unique_ptr<UpdateWorld> world_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<AgentProcess> server_, agent_;
  std::unique_ptr<Wire> wire_;
};

}  // namespace wayside::test
