// SPDX-License-Identifier: Apache-2.0
// Model updates from a folder as a stick, through the real agent and its engine; without a broker too.
#include <chrono>
#include <thread>

#include "tests/agent/ota/fake_system.h"
#include "tests/system/ota_agent/agent_update_fixture.h"

namespace wayside::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class AgentStick : public AgentUpdate {
 protected:
  void SetUp() override {
    AgentUpdate::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(system_ / "run/waysided");
    start_agent(settings_);
  }
  /// The stick appears whole, as a mount does.
  void plug_in(const std::map<std::string, ota::Digest>& packages, const std::string& policy_for = {}) {
    const auto made = system_ / "made";
    std::filesystem::create_directories(made);
    for (const auto& [name, manifest] : packages) {
      world_->write_package(manifest, made / name);
      if (name == policy_for)
        std::ofstream(made / (name.substr(0, name.size() - 4) + ".policy.json")) << world_->policy(manifest);
    }
    std::filesystem::create_directories(stick_.parent_path());
    std::filesystem::rename(made, stick_);
  }
  void pull_out() {
    std::filesystem::remove_all(stick_);
    await_file([](const std::string& text) { return text.empty(); });
  }
  /// What the agent leaves for the stick, as soon as it is through with it.
  std::string result() {
    return await_file([](const std::string& text) { return text.starts_with("done\n"); });
  }
  std::string await_file(const std::function<bool(const std::string&)>& wanted) {
    const auto deadline = base::Clock::real().now() + kPatience;
    std::string text = file_text(system_ / "run/waysided/stick-result");
    while (!wanted(text) && base::Clock::real().now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a file of another process
      text = file_text(system_ / "run/waysided/stick-result");
    }
    EXPECT_TRUE(wanted(text)) << text << agent_->errors();
    return text;
  }
  json await_stick_end(const ota::Digest& manifest, int nth = 1) {
    return await_end(std::format("stick-{}.{}", manifest.hex().substr(0, 24), nth));
  }
  static void bend(std::string& bytes, std::size_t at) { bytes[at] = static_cast<char>(bytes[at] ^ 0x40); }

  const std::filesystem::path system_ = dir_.path() / "system";
  const std::filesystem::path stick_ = system_ / "run/wayside/update";
  const std::string settings_ = std::format(", system_root: \"{}\"", system_.string());
};

TEST_F(AgentStick, AModelIsTakenTriedAndCommitted) {
  const auto manifest = world_->publish({.version = "1.0.0"});
  plug_in({{"street.wmp", manifest}});
  const auto report = await_stick_end(manifest);
  EXPECT_EQ(report["status"], "successful") << agent_->errors();
  EXPECT_EQ(report["target"]["manifest_sha256"], manifest.hex());
  EXPECT_GT(report["bytes"]["done"], 0);
  EXPECT_TRUE(runs("1.0.0"));
  EXPECT_EQ(result(), "done\nstreet.wmp: successful\n");
  pull_out();
  plug_in({{"again.wmp", manifest}});
  EXPECT_EQ(result(), "done\nagain.wmp: runs already\n");
}

TEST_F(AgentStick, WithoutABrokerTheSameAndTheReportIsSaidLater) {
  broker_.kill();
  const auto manifest = world_->publish({.version = "1.0.0"});
  plug_in({{"street.wmp", manifest}});
  EXPECT_EQ(result(), "done\nstreet.wmp: successful\n");
  broker_.start();
  wire_ = std::make_unique<Wire>(broker_.port());
  EXPECT_EQ(await_stick_end(manifest)["status"], "successful");
}

TEST_F(AgentStick, EachRefusalSaysWhyAndTheOthersAreStillTaken) {
  const auto good = world_->publish({.version = "1.0.0", .security_counter = 5});
  const auto older = world_->publish({.version = "0.9.0", .security_counter = 4});
  const auto firmware = world_->publish_firmware("2.0.0", "bundle", {});
  plug_in({{"b-good.wmp", good}, {"c-older.wmp", older}, {"d-firmware.wmp", firmware}});
  auto text = result();
  EXPECT_THAT(text, HasSubstr("b-good.wmp: successful\n")) << agent_->errors();
  EXPECT_THAT(text, HasSubstr("c-older.wmp: refused: E-OTA-0112 rollback: security counter 4 is below 5"));
  EXPECT_THAT(text, HasSubstr("d-firmware.wmp: refused: E-OTA-0115 wrong_role"));
  EXPECT_EQ(await_stick_end(older)["code"], "E-OTA-0112");
  pull_out();
  (void)world_->rotate_keys();  // the device never heard of the new key
  plug_in({{"stranger.wmp", world_->publish({.version = "2.0.0", .security_counter = 6})}});
  std::ofstream(stick_ / "torn.wmp") << "WAYSIDEM";
  text = result();
  EXPECT_THAT(text, HasSubstr("stranger.wmp: refused: E-OTA-0084 unknown_key"));
  EXPECT_TRUE(runs("1.0.0"));
}

TEST_F(AgentStick, ABadModelIsFoundByItsGoldenSetAndNotTriedAgain) {
  const auto bad = world_->publish({.version = "2.0.0", .bend_model = [](std::string& model) {
                                      for (std::size_t at = model.size() / 2; at < model.size() / 2 + 4096; ++at)
                                        bend(model, at);
                                    }});
  plug_in({{"bad.wmp", bad}});
  EXPECT_THAT(result(), StartsWith("done\nbad.wmp: failed: E-GATE-GOLDEN ")) << agent_->errors();
  EXPECT_EQ(await_stick_end(bad)["status"], "failed");
  pull_out();
  plug_in({{"bad.wmp", bad}});
  EXPECT_THAT(result(), HasSubstr("failed_before"));
}

TEST_F(AgentStick, ATornPackageFailsAndAWholeCopyOfItIsTaken) {
  const auto manifest = world_->publish({.version = "1.0.0"});
  world_->write_package(manifest, system_ / "made/street.wmp");
  auto bytes = file_text(system_ / "made/street.wmp");
  bend(bytes, bytes.size() - 9);
  std::ofstream(system_ / "made/street.wmp", std::ios::binary) << bytes;
  std::filesystem::create_directories(stick_.parent_path());
  std::filesystem::rename(system_ / "made", stick_);
  EXPECT_THAT(result(), HasSubstr("street.wmp: failed: E-DOWNLOAD stick: street.wmp: file")) << agent_->errors();
  pull_out();
  plug_in({{"street.wmp", manifest}});
  EXPECT_EQ(result(), "done\nstreet.wmp: successful\n") << agent_->errors();
  EXPECT_EQ(await_stick_end(manifest, 2)["status"], "successful");
}

TEST_F(AgentStick, WhereAPolicyIsRequiredItLiesBesideThePackage) {
  agent_->send(SIGKILL);
  agent_->wait();
  auto config = world_->config(settings_);
  config.replace(config.find("require_policy: false"), 21, "require_policy: true");
  agent_ = start({.port = broker_.port(), .more = config});
  const auto manifest = world_->publish({.version = "1.0.0"});
  plug_in({{"street.wmp", manifest}});
  EXPECT_THAT(result(), HasSubstr("street.wmp: refused: E-OTA-0134 not_admitted: ota.require_policy wants"));
  pull_out();
  plug_in({{"street.wmp", manifest}}, "street.wmp");
  EXPECT_EQ(result(), "done\nstreet.wmp: successful\n") << agent_->errors();
}

TEST_F(AgentStick, ARestartInTheMiddleGoesOnWithTheSameStick) {
  const auto manifest = world_->publish(
      {.version = "1.0.0", .watch = {.shadow_frames = 5, .shadow_one_in = 1, .probation_s = 3, .max_restarts = 2}});
  plug_in({{"street.wmp", manifest}});
  const std::string id = std::format("stick-{}.1", manifest.hex().substr(0, 24));
  await_report(id, [](const json& report) { return report["status"] == "trial"; });
  agent_->send(SIGKILL);
  agent_->wait();
  start_agent(settings_);
  EXPECT_EQ(result(), "done\nstreet.wmp: successful\n") << agent_->errors();
  EXPECT_EQ(await_end(id)["status"], "successful");
}

TEST_F(AgentStick, TheOperatorMayNotUseTheDevicesOwnIds) {
  const auto manifest = world_->publish({.version = "1.0.0"});
  push("stick-1", manifest);
  push("m1", manifest);
  EXPECT_EQ(await_end("m1")["status"], "successful");
  EXPECT_THAT(agent_->errors(), HasSubstr("ids that begin with stick-"));
}

}  // namespace
}  // namespace wayside::test
