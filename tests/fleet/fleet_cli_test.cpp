// SPDX-License-Identifier: Apache-2.0
// The real `wayside fleet` with a real broker: enrolment, a roll-out watched to its end, steering, and one-line
// failures.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "fleet/simulator/simulated_device.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/system/agent_process.h"

namespace wayside::fleet {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using wayside::test::Finished;

class FleetCli : public testing::Test {
 protected:
  Finished run(Words words) {
    words.insert(words.begin(), "fleet");
    words.insert(words.end(), {"--db", (dir_.path() / "fleet.db").string()});
    return wayside::test::run_to_end(WAYSIDE_FLEET_PROGRAM, words);
  }
  Json json(Words words, int code = 0) {
    words.emplace_back("--json");
    const auto done = run(std::move(words));
    EXPECT_EQ(done.exit_code, code) << done.errors;
    auto parsed = Json::parse(done.output, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << done.output;
    return parsed;
  }
  void fails(Words words, const std::string& why) {
    const auto done = run(std::move(words));
    EXPECT_EQ(done.exit_code, 1) << done.output;
    EXPECT_NE(done.errors.find(why), std::string::npos) << done.errors;
    EXPECT_EQ(std::ranges::count(done.errors, '\n'), 1) << done.errors;
  }
  static Words push(Words more) {
    Words words{
        "push", "--manifest-sha256", std::string(64, 'a'), "--name", "street", "--model-version", "2.0.0", "--id",
        "r1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  wayside::test::TempDir dir_;
};

TEST_F(FleetCli, DevicesAreEnrolledListedAndRevoked) {
  EXPECT_EQ(json({"enroll", "gate-1", "--group", "canary", "--label", "board=pi5"}).at("state"), "allowed");
  ASSERT_EQ(run({"authority", (dir_.path() / "ca").string(), "--broker", "DNS:localhost"}).exit_code, 0);
  const auto made =
      json({"enroll", "gate-2", "--authority", (dir_.path() / "ca").string(), "--out", dir_.path().string()});
  EXPECT_EQ(made.at("state"), "enrolled");
  EXPECT_TRUE(std::filesystem::exists(dir_.path() / "gate-2.key"));
  EXPECT_EQ(json({"list"}).size(), 2U);
  EXPECT_EQ(json({"list", "--where", "board=pi5"}).at(0).at("id"), "gate-1");
  EXPECT_EQ(json({"revoke", "gate-2"}).at("state"), "revoked");
  EXPECT_EQ(json({"show", "gate-2"}).at("state"), "revoked");
  fails({"enroll", "gate-2"}, "revoked");
  fails({"enroll", "a/b"}, "device id");
  fails({"enroll", "x", "--label", "novalue"}, "key=value");
  fails({"show", "nobody"}, "not enrolled");
  fails({"list", "--group", "none"}, "no device is in group");
  fails({"enroll", "y", "--authority", "/nonexistent"}, "wayside fleet authority");
}

TEST_F(FleetCli, RolloutsArePlannedSteeredAndRefused) {
  fails(push({}), "no device is selected");
  for (int i = 0; i < 20; ++i) ASSERT_EQ(run({"enroll", "dev-" + std::to_string(i)}).exit_code, 0);
  auto plan = push({"--dry-run", "--waves", "10,100"});
  const auto planned = json(plan);
  EXPECT_EQ(planned.at("waves").at(0).size() + planned.at("waves").at(1).size(), 20U);
  EXPECT_EQ(json({"rollout", "status"}).size(), 0U) << "a dry run records nothing";
  fails(push({"--waves", "50,10"}), "waves");
  fails(push({"--window", "nine to five"}), "HH:MM-HH:MM");
  EXPECT_EQ(json(push({"--detach"})).at("state"), "running");
  fails(push({"--detach"}), "roll-out r1 exists");
  EXPECT_EQ(json({"rollout", "pause", "r1", "--detach"}).at("state"), "paused");
  EXPECT_EQ(json({"rollout", "resume", "r1", "--detach"}).at("state"), "running");
  EXPECT_EQ(json({"rollout", "abort", "r1", "--detach"}).at("state"), "aborted");
  fails({"rollout", "resume", "r1", "--detach"}, "start a new one");
  fails({"rollout", "status", "r2"}, "there is no roll-out r2");
  EXPECT_GE(json({"logs", "r1"}).size(), 4U);
}

TEST_F(FleetCli, APushIsWatchedToItsEnd) {
  if (!wayside::test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
  wayside::test::TestBroker broker;
  constexpr int kDevices = 4;
  std::array<SimulatedDisk, kDevices> disks;
  std::atomic<bool> stop{false};
  std::thread fleet([&] {
    std::vector<std::unique_ptr<SimulatedDevice>> devices;
    for (int i = 0; i < kDevices; ++i) {
      SimulatedDeviceOptions options;
      options.mqtt.host = "127.0.0.1";
      options.mqtt.port = broker.port();
      options.mqtt.client_id = "dev-" + std::to_string(i);
      options.step_time = std::chrono::milliseconds(100);
      options.fails = i == 3;
      devices.push_back(SimulatedDevice::create(std::move(options), disks[i], base::Clock::real()).value());
    }
    while (!stop) {
      for (auto& device : devices) device->poll();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  for (int i = 0; i < kDevices; ++i) ASSERT_EQ(run({"enroll", "dev-" + std::to_string(i)}).exit_code, 0);
  const auto port = std::to_string(broker.port());
  const auto good =
      json(push({"--host", "127.0.0.1", "--port", port, "--soak", "0", "--waves", "50,100", "--min-success", "0"}));
  EXPECT_EQ(good.at("state"), "completed");
  EXPECT_EQ(good.at("total").at("succeeded"), 3);
  EXPECT_EQ(good.at("total").at("failed"), 1);
  auto strict = push({"--host", "127.0.0.1", "--port", port, "--soak", "0", "--waves", "100"});
  *(std::ranges::find(strict, "r1")) = "r2";
  const auto halted = json(strict, 3);
  EXPECT_EQ(halted.at("state"), "halted");
  const auto log = run({"logs", "r2", "--device", "dev-3"});
  EXPECT_NE(log.output.find("E-GATE-GOLDEN"), std::string::npos) << log.output;
  stop = true;
  fleet.join();
}

}  // namespace
}  // namespace wayside::fleet
