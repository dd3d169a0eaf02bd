// SPDX-License-Identifier: Apache-2.0
// Firmware through the real agent, broker and chunk server; RAUC, the boot loader and the image's records are played.
#include <chrono>
#include <thread>

#include "tests/agent/ota/fake_system.h"
#include "tests/system/ota_agent/agent_update_fixture.h"

namespace wayside::test {
namespace {

using testing::HasSubstr;

class AgentFirmware : public AgentUpdate {
 protected:
  void SetUp() override {
    AgentUpdate::SetUp();
    if (IsSkipped()) return;
    system_.emplace(dir_.path() / "system");
    start_system();
  }
  void start_system() { start_agent(std::format(", system_root: \"{}\"", system_->root().string())); }
  /// The machine restarts into another state; the agent's disk stays.
  void restart_into(const std::string& slot, const std::string& version, const std::string& left = "null") {
    agent_->send(SIGKILL);
    agent_->wait();
    system_->boot(slot, version, left);
    wire_->received.clear();
    start_system();
  }
  void push_firmware(const std::string& id, const ota::Digest& manifest) {
    operator_->publish_manifest(*world_, manifest);
    operator_->command(id, manifest, later(), 0, "firmware");
  }
  json await_step(const std::string& id, const std::function<bool(const json&)>& wanted) {
    const auto got = wire_->await([&](const auto& one) {
      return one.topic == update_topic(id, "firmware_update") && one.payload.is_object() && wanted(one.payload);
    });
    EXPECT_TRUE(got) << id << ": " << agent_->errors();
    return got ? got->payload : json::object();
  }
  json await_firmware_end(const std::string& id) {
    return await_step(
        id, [](const json& report) { return report["status"] == "successful" || report["status"] == "failed"; });
  }
  bool await_restart() {
    const auto deadline = base::Clock::real().now() + kPatience;
    while (!system_->restart_wanted() && base::Clock::real().now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a file of another process
    return system_->restart_wanted();
  }
  static std::string bundle(const std::string& version) {
    std::string text = "bundle " + version + " of a test\n";
    for (int i = 0; i < 60'000; ++i) text += std::to_string(i * 7919 % 10'007);
    return text;
  }

  const std::vector<ota::Runtime> fitting_{{.accelerator = "cpu-int8", .versions = {}}};
  std::optional<FakeSystem> system_;
};

TEST_F(AgentFirmware, ABundleIsFetchedInstalledStartedAndConfirmed) {
  push("m1", world_->publish({.version = "1.0.0"}));
  ASSERT_EQ(await_end("m1")["status"], "successful") << agent_->errors();
  push_firmware("f1", world_->publish_firmware("2.0.0", bundle("2.0.0"), fitting_));
  const auto installed =
      await_step("f1", [](const json& report) { return report["step"] == "install" && report["progress"] == 95; });
  EXPECT_GT(installed["bytes"]["done"], 0);
  ASSERT_TRUE(await_restart()) << agent_->errors();
  EXPECT_EQ(system_->installed(), "2.0.0\n");
  restart_into("B", "2.0.0");
  ASSERT_EQ(await_step("f1", [](const json& report) { return report["step"] == "confirm"; })["status"], "trial");
  ASSERT_TRUE(runs("1.0.0")) << "the model is committed and stays so: " << agent_->errors();
  system_->confirm("good");
  ASSERT_EQ(await_firmware_end("f1")["status"], "successful") << agent_->errors();
  EXPECT_THAT(agent_->errors(), testing::Not(HasSubstr("new_system_fails")));
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path() / "state/ota/blobs"))
    EXPECT_NE(file_text(entry.path()).substr(0, 7), "bundle ") << "the bundle is not kept";
}

TEST_F(AgentFirmware, AFallBackIsToldWithItsReasonAndNotTriedAgain) {
  const auto manifest = world_->publish_firmware("2.0.0", bundle("2.0.0"), fitting_);
  push_firmware("f1", manifest);
  ASSERT_TRUE(await_restart()) << agent_->errors();
  restart_into("A", "1.0.0",
               R"({"slot":"B","version":"2.0.0","stage":"unhealthy","reason":"the agent has no broker"})");
  const auto report = await_firmware_end("f1");
  EXPECT_EQ(report["status"], "failed");
  EXPECT_EQ(report["code"], "E-INSTALL");
  EXPECT_THAT(report.value("reason", ""), HasSubstr("2.0.0 was left for 1.0.0: unhealthy: the agent has no broker"));
  operator_->command("f2", manifest, later(), 0, "firmware");
  EXPECT_THAT(await_firmware_end("f2").value("reason", ""), HasSubstr("failed_before"));
  EXPECT_EQ(system_->installed(), "2.0.0\n");
}

TEST_F(AgentFirmware, WhatDoesNotFitIsRefusedBeforeAnythingIsInstalled) {
  push("m1", world_->publish({.version = "1.0.0"}));
  ASSERT_EQ(await_end("m1")["status"], "successful") << agent_->errors();
  push_firmware("f1", world_->publish_firmware("2.0.0", bundle("2.0.0"),
                                               {{.accelerator = "hailo8", .versions = {{"hailort", "5.0"}}}}));
  auto report = await_firmware_end("f1");
  EXPECT_EQ(report["step"], "accept");
  EXPECT_THAT(report.value("reason", ""), HasSubstr("no_variant_for_runtime"));
  push_firmware("f2", world_->publish_firmware("2.0.0", "not for RAUC", fitting_));
  report = await_firmware_end("f2");
  EXPECT_THAT(report.value("reason", ""), HasSubstr("signature verification failed"));
  push_firmware("f3", world_->publish_firmware("1.0.0", bundle("1.0.0"), fitting_));
  EXPECT_THAT(await_firmware_end("f3").value("reason", ""), HasSubstr("1.0.0 runs already"));
  system_->fail_installations("Failed updating slot rootfs.1");
  push_firmware("f4", world_->publish_firmware("2.1.0", bundle("2.1.0"), fitting_));
  report = await_firmware_end("f4");
  EXPECT_THAT(report.value("reason", ""), HasSubstr("Failed updating slot rootfs.1"));
  EXPECT_EQ(report["code"], "E-INSTALL");
  EXPECT_EQ(system_->installed(), "");
  EXPECT_FALSE(system_->restart_wanted());
}

}  // namespace
}  // namespace wayside::test
