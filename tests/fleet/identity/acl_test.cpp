// SPDX-License-Identifier: Apache-2.0
// The shipped mosquitto configuration and access rules on a real broker with TLS: what a device and a claim may not do.
#include <gtest/gtest.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

#include "base/mqtt/client.h"
#include "fleet/identity/provisioning.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::fleet {
namespace {

namespace mqtt = base::mqtt;
using Kind = mqtt::Event::Kind;
using wayside::test::TempDir;
using wayside::test::TestBroker;

constexpr std::chrono::seconds kPatience{30};

/// One connection with a certificate; remembers what it received.
class Peer {
 public:
  Peer(std::uint16_t port, const std::filesystem::path& ca, const std::filesystem::path& identity, std::string id) {
    mqtt::ClientOptions options;
    options.host = "localhost";
    options.port = port;
    options.client_id = std::move(id);
    options.connect_timeout = std::chrono::seconds(10);
    options.tls = {.ca = ca, .cert = identity.string() + ".crt", .key = identity.string() + ".key"};
    options.jitter_seed = 1;
    client_ = mqtt::Client::create(std::move(options)).value();
  }
  /// Waits for an event of this kind (and this ticket, if given); false when another outcome or the time comes first.
  bool wait(Kind wanted, mqtt::Ticket ticket = 0) {
    const auto deadline = base::Clock::real().now() + kPatience;
    while (base::Clock::real().now() < deadline) {
      const auto event = client_->wait(deadline);
      if (!event) continue;
      if (event->kind == Kind::message) received_.push_back(event->message);
      if (event->kind == wanted && (ticket == 0 || event->ticket == ticket)) return true;
      if (event->kind == Kind::connect_failed || event->kind == Kind::lost) return false;
      if (ticket != 0 && event->ticket == ticket) return false;
    }
    return false;
  }
  bool connect() { return wait(Kind::connected); }
  /// The broker's answer to a QoS 1 publication.
  bool publish(const std::string& topic, const std::string& payload) {
    const auto ticket = client_->publish({.topic = topic, .payload = payload, .qos = 1});
    return ticket && wait(Kind::acked, *ticket);
  }
  void subscribe(const std::string& filter) { client_->subscribe(filter, 1); }
  /// True when a message with this payload has come or comes.
  bool hears(const std::string& payload) {
    const auto deadline = base::Clock::real().now() + kPatience;
    while (!heard(payload) && base::Clock::real().now() < deadline) {
      if (const auto event = client_->wait(deadline); event && event->kind == Kind::message)
        received_.push_back(event->message);
    }
    return heard(payload);
  }
  [[nodiscard]] bool heard(const std::string& payload) const {
    return std::ranges::any_of(received_, [&](const auto& message) { return message.payload == payload; });
  }

 private:
  std::unique_ptr<mqtt::Client> client_;
  std::vector<mqtt::Message> received_;
};

class Acl : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    fleet_ca_.emplace(Authority::create(dir_.path() / "broker", "fleet").value());
    claim_ca_.emplace(Authority::create(dir_.path() / "provisioning", "claims").value());
    issue(*fleet_ca_, "broker", Purpose::broker, "broker");
    issue(*claim_ca_, "provisioning", Purpose::broker, "broker");
    for (const char* name : {"gate-1", "gate-2"}) issue(*fleet_ca_, "broker", Purpose::device, name);
    issue(*fleet_ca_, "broker", Purpose::operator_tool, "wayside-operator");
    issue(*claim_ca_, "provisioning", Purpose::operator_tool, "wayside-operator");
    for (const char* name : {"batch-7", "batch-8"}) issue(*claim_ca_, "provisioning", Purpose::device, name);
    fleet_.reset(new TestBroker(start("wayside.conf", "fleet.acl", "broker")));  // neither copied nor moved
  }

  void issue(const Authority& authority, const std::string& folder, Purpose purpose, const std::string& name) {
    const std::vector<std::string> names = purpose == Purpose::broker
                                               ? std::vector<std::string>{"DNS:localhost", "IP:127.0.0.1"}
                                               : std::vector<std::string>{};
    const auto identity = authority.issue(purpose, name, names);
    ASSERT_TRUE(identity) << identity.error().message;
    std::ofstream(dir_.path() / folder / (name + ".crt")) << identity->certificate_pem;
    std::ofstream(dir_.path() / folder / (name + ".key")) << identity->key_pem;
  }

  /// The shipped file with its port and folder replaced, nothing else changed.
  static void replace(std::string& text, const std::string& from, const std::string& to) {
    ASSERT_NE(text.find(from), std::string::npos) << from;
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  }
  TestBroker start(const std::string& config, const std::string& acl, const std::string& folder) {
    const std::filesystem::path shipped(WAYSIDE_SOURCE_DIR "/packaging/mosquitto");
    std::stringstream text;
    text << std::ifstream(shipped / config).rdbuf();
    std::string whole = text.str();
    replace(whole, folder == "broker" ? "listener 8883" : "listener 8884", "listener @PORT@ 127.0.0.1");
    replace(whole, "/etc/wayside/" + folder, (dir_.path() / folder).string());
    if (folder == "broker") whole += std::format("persistence_location {}/\n", dir_.path().string());
    whole +=
        "user root\nlog_dest stderr\nconnection_messages false\nlog_type error\nlog_type warning\nlog_type "
        "information\n";
    std::filesystem::copy_file(shipped / acl, dir_.path() / folder / acl);
    return TestBroker::whole_config(whole);
  }

  Peer peer(const TestBroker& broker, const std::string& folder, const std::string& name, std::string id = "") const {
    return {broker.port(), dir_.path() / folder / "ca.crt", dir_.path() / folder / name, id.empty() ? name : id};
  }
  Peer on_fleet(const std::string& name) { return peer(*fleet_, "broker", name); }

  TempDir dir_;
  std::optional<Authority> fleet_ca_, claim_ca_;
  std::unique_ptr<TestBroker> fleet_;
};

TEST_F(Acl, ADeviceUsesItsOwnTopicsAndHearsItsCommands) {
  auto device = on_fleet("gate-1"), boss = on_fleet("wayside-operator");
  boss.subscribe("te/#");
  device.subscribe("te/device/gate-1///cmd/#");
  device.subscribe("te/fleet/#");
  ASSERT_TRUE(boss.connect() && device.connect());
  EXPECT_TRUE(device.publish("te/device/gate-1///m/telemetry", "telemetry"));
  EXPECT_TRUE(boss.hears("telemetry"));
  EXPECT_TRUE(boss.publish("te/device/gate-1///cmd/model_update/r1", "command"));
  EXPECT_TRUE(boss.publish("te/fleet/rollout/r1", "policy"));
  EXPECT_TRUE(device.hears("command"));
  EXPECT_TRUE(device.hears("policy"));
}

TEST_F(Acl, ADeviceCannotWriteWhatIsNotItsOwn) {
  auto device = on_fleet("gate-1"), boss = on_fleet("wayside-operator");
  boss.subscribe("#");
  ASSERT_TRUE(boss.connect() && device.connect());
  const std::vector<std::string> forbidden{"te/device/gate-2///cmd/model_update/r1",
                                           "te/device/gate-2///m/telemetry",
                                           "te/device/gate-2///e/detection",
                                           "te/device/gate-2///twin/model/detector",
                                           "te/device/gate-2/service/agent/status/health",
                                           "te/device/gate-12///m/telemetry",
                                           "te/device//gate-1/m/telemetry",
                                           "te/fleet/rollout/r1",
                                           "te/fleet/targets",
                                           "te/site/north/blob/00",
                                           "te/provision/gate-1/csr",
                                           "te/device/wayside-operator/x",
                                           "other/device/gate-1///m/x"};
  for (const auto& topic : forbidden) EXPECT_FALSE(device.publish(topic, "forbidden " + topic)) << topic;
  ASSERT_TRUE(device.publish("te/device/gate-1///m/telemetry", "fence"));
  ASSERT_TRUE(boss.hears("fence"));
  for (const auto& topic : forbidden) EXPECT_FALSE(boss.heard("forbidden " + topic)) << topic;
}

TEST_F(Acl, ADeviceCannotReadWhatIsNotItsOwn) {
  auto device = on_fleet("gate-1"), boss = on_fleet("wayside-operator");
  for (const char* filter : {"te/device/gate-2/#", "te/device/+///cmd/#", "te/#", "#", "te/provision/#",
                             "$share/group/te/device/gate-2/#", "te/device/gate-1/#"})
    device.subscribe(filter);
  ASSERT_TRUE(boss.connect() && device.connect());
  const std::vector<std::string> foreign{"te/device/gate-2///cmd/model_update/r1", "te/device/gate-2///m/telemetry",
                                         "te/device/gate-2/service/agent/status/health", "te/provision/batch-7/csr",
                                         "te/device/gate-12///m/telemetry"};
  // The first publications wait until the subscriptions stand: a retained copy reaches whoever may read it.
  for (const auto& topic : foreign) ASSERT_TRUE(boss.publish(topic, "secret " + topic));
  ASSERT_TRUE(boss.publish("te/device/gate-1///cmd/model_update/r1", "fence-1"));
  ASSERT_TRUE(device.hears("fence-1"));
  for (const auto& topic : foreign) ASSERT_TRUE(boss.publish(topic, "secret " + topic));
  ASSERT_TRUE(boss.publish("te/device/gate-1///cmd/model_update/r1", "fence-2"));
  ASSERT_TRUE(device.hears("fence-2"));
  for (const auto& topic : foreign) EXPECT_FALSE(device.heard("secret " + topic)) << topic;
}

TEST_F(Acl, ADeviceCannotTakeAnothersClientId) {
  auto victim = on_fleet("gate-2");
  ASSERT_TRUE(victim.connect());
  auto thief = peer(*fleet_, "broker", "gate-1", "gate-2");
  ASSERT_TRUE(thief.connect());
  EXPECT_FALSE(thief.publish("te/device/gate-2///m/telemetry", "forged"));
  EXPECT_TRUE(victim.publish("te/device/gate-2///m/telemetry", "still here"));
}

TEST_F(Acl, StrangersDoNotConnect) {
  std::filesystem::copy_file(dir_.path() / "provisioning/batch-7.crt", dir_.path() / "broker/batch-7.crt");
  std::filesystem::copy_file(dir_.path() / "provisioning/batch-7.key", dir_.path() / "broker/batch-7.key");
  EXPECT_FALSE(on_fleet("batch-7").connect()) << "a claim certificate";
  mqtt::ClientOptions bare;
  bare.host = "localhost";
  bare.port = fleet_->port();
  bare.client_id = "gate-1";
  bare.tls.ca = dir_.path() / "broker/ca.crt";
  auto client = mqtt::Client::create(bare).value();
  const auto event = client->wait(base::Clock::real().now() + kPatience);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, Kind::connect_failed) << "no certificate";
}

TEST_F(Acl, AClaimCanProvisionAndNothingElse) {
  auto desk_broker = start("provisioning.conf", "provisioning.acl", "provisioning");
  auto claim = peer(desk_broker, "provisioning", "batch-7"), other = peer(desk_broker, "provisioning", "batch-8");
  auto boss = peer(desk_broker, "provisioning", "wayside-operator");
  boss.subscribe("te/provision/+/csr");
  for (const char* filter : {"te/provision/batch-8/crt/+", "te/provision/+/crt/#", "te/provision/+/csr", "#",
                             "te/device/#", "te/provision/batch-7/crt/+"})
    claim.subscribe(filter);
  ASSERT_TRUE(boss.connect() && claim.connect() && other.connect());
  for (const char* topic : {"te/provision/batch-8/csr", "te/provision/batch-7/crt/gate-9", "te/device/gate-1///m/x",
                            "te/device/batch-7///m/x", "te/fleet/rollout/r1", "te/device/gate-1///cmd/model_update/r1"})
    EXPECT_FALSE(claim.publish(topic, "forbidden")) << topic;
  ASSERT_TRUE(other.publish("te/provision/batch-8/csr", "request of 8"));
  ASSERT_TRUE(boss.publish("te/provision/batch-8/crt/gate-8", "certificate for 8"));
  ASSERT_TRUE(claim.publish("te/provision/batch-7/csr", "request of 7"));
  ASSERT_TRUE(boss.hears("request of 7"));
  EXPECT_FALSE(boss.heard("forbidden"));
  ASSERT_TRUE(boss.publish("te/provision/batch-7/crt/gate-7", "certificate for 7"));
  ASSERT_TRUE(claim.hears("certificate for 7"));
  for (const char* secret : {"certificate for 8", "request of 8", "request of 7"})
    EXPECT_FALSE(claim.heard(secret)) << secret;
  std::filesystem::copy_file(dir_.path() / "broker/gate-1.crt", dir_.path() / "provisioning/gate-1.crt");
  std::filesystem::copy_file(dir_.path() / "broker/gate-1.key", dir_.path() / "provisioning/gate-1.key");
  EXPECT_FALSE(peer(desk_broker, "provisioning", "gate-1").connect()) << "the two authorities are apart";
}

}  // namespace
}  // namespace wayside::fleet
