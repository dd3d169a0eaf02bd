// SPDX-License-Identifier: Apache-2.0
// wayside-enroll against the operator's real tool and the shipped broker configuration.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/base/mqtt/test_broker.h"
#include "tests/system/agent_process.h"

namespace wayside::test {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class EnrolmentProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    fleet({"authority", at("broker-ca"), "--broker", "DNS:localhost"});
    fleet({"authority", at("claim-ca"), "--broker", "DNS:localhost", "--claim", "batch-7"});
    fs::create_directories(dir_.path() / "claim");
    for (const char* name : {"ca.crt", "batch-7.crt", "batch-7.key"})
      fs::copy_file(dir_.path() / "claim-ca" / name, dir_.path() / "claim" / name);
    auto config = read(WAYSIDE_SOURCE_DIR "/packaging/mosquitto/provisioning.conf");
    config.replace(config.find("listener 8884"), 13, "listener @PORT@ 127.0.0.1");
    for (const std::string from = "/etc/wayside/provisioning/"; config.contains(from);)
      config.replace(config.find(from), from.size(), at("claim-ca/"));
    fs::copy_file(WAYSIDE_SOURCE_DIR "/packaging/mosquitto/provisioning.acl",
                  dir_.path() / "claim-ca/provisioning.acl");
    // Neither copied nor moved.
    broker_.reset(new TestBroker(TestBroker::whole_config(config + "user root\nlog_dest stderr\n")));
    std::ofstream(dir_.path() / "claim/server") << "localhost:" << broker_->port() << "\n";
    std::ofstream(dir_.path() / "agent.yaml")
        << "version: 1\ndevice: {id: gate-2}\nmqtt: {host: elsewhere.invalid}\nmodels: [{file: m.tflite}]\n";
  }

  [[nodiscard]] std::string at(const std::string& name) const { return (dir_.path() / name).string(); }
  void fleet(std::vector<std::string> words) {
    words.insert(words.begin(), "fleet");
    words.insert(words.end(), {"--db", at("fleet.db")});
    const auto done = run_to_end(WAYSIDE_FLEET_PROGRAM, words);
    ASSERT_EQ(done.exit_code, 0) << done.errors;
  }
  [[nodiscard]] Finished enroll(const std::string& identity, const std::string& seconds) const {
    return run_to_end(WAYSIDE_ENROLL_PROGRAM, {"--config", at("agent.yaml"), "--claim", at("claim"), "--identity",
                                               at(identity), "--seconds", seconds});
  }
  std::unique_ptr<AgentProcess> desk() {
    return std::make_unique<AgentProcess>(
        WAYSIDE_FLEET_PROGRAM,
        std::vector<std::string>{"fleet", "provision", "--db", at("fleet.db"), "--authority", at("broker-ca"), "--host",
                                 "localhost", "--port", std::to_string(broker_->port()), "--ca", at("claim-ca/ca.crt"),
                                 "--cert", at("claim-ca/wayside-operator.crt"), "--key",
                                 at("claim-ca/wayside-operator.key")});
  }

  TempDir dir_;
  std::unique_ptr<TestBroker> broker_;
};

TEST_F(EnrolmentProgram, ADeviceGetsItsCertificateOnceAndKeepsItsKey) {
  auto done = enroll("identity", "1");
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_TRUE(done.errors.contains("does the operator run: wayside fleet provision")) << done.errors;
  const auto key = read(dir_.path() / "identity/device.key");
  EXPECT_TRUE(key.contains("PRIVATE KEY"));
  struct stat info{};
  ASSERT_EQ(::stat(at("identity/device.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077U, 0U) << "nobody else may read the key";
  {
    const auto operator_tool = desk();
    // The tool does not say when it listens; what is asked before that nobody hears.
    for (int attempt = 0; attempt < 20 && !done.errors.contains("wayside fleet enroll gate-2"); ++attempt)
      done = enroll("identity", "5");
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_TRUE(done.errors.contains("wayside fleet enroll gate-2")) << "not on the list: " << done.errors;
    fleet({"enroll", "gate-2", "--label", "claim=batch-7"});
    done = enroll("identity", "60");
    ASSERT_EQ(done.exit_code, 0) << done.errors;
    EXPECT_EQ(done.output, "enrolled as gate-2\n");
    EXPECT_EQ(enroll("copy", "60").exit_code, 1) << "a second board with the same name";
  }
  broker_->kill();
  done = enroll("identity", "60");
  EXPECT_EQ(done.exit_code, 0) << "a device that has a certificate needs nobody: " << done.errors;
  EXPECT_EQ(read(dir_.path() / "identity/device.key"), key);
  const auto verified =
      run_to_end("/usr/bin/openssl", {"verify", "-CAfile", at("broker-ca/ca.crt"), at("identity/device.crt")});
  EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
}

TEST_F(EnrolmentProgram, AClaimFolderWithAMistakeIsNamed) {
  const auto expect = [&](const std::string& words) {
    const auto done = enroll("identity", "1");
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_TRUE(done.errors.contains(words)) << done.errors;
    EXPECT_EQ(done.errors.find('\n'), done.errors.size() - 1) << "one line: " << done.errors;
  };
  std::ofstream(dir_.path() / "claim/server") << "localhost:port\n";
  expect("is not HOST or HOST:PORT");
  std::ofstream(dir_.path() / "claim/ca.key") << "secret";
  expect("must never leave the operator");
  fs::remove(dir_.path() / "claim/ca.key");
  fs::copy_file(at("claim/batch-7.crt"), at("claim/batch-8.crt"));
  expect("more than one claim certificate");
  fs::remove(dir_.path() / "claim/batch-8.crt");
  std::ofstream(dir_.path() / "claim/batch-7.crt") << "junk";
  expect("batch-7.crt: not a PEM certificate");
  fs::remove(dir_.path() / "claim/batch-7.crt");
  expect("copy ca.crt, CLAIM.crt and CLAIM.key there");
}

}  // namespace
}  // namespace wayside::test
