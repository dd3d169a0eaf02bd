// SPDX-License-Identifier: Apache-2.0
// Simulated devices against a real broker: what is not signed starts nothing, however it is commanded; files come over
// MQTT; a restart in the middle goes on.
#include "fleet/simulator/simulated_device.h"

#include <gtest/gtest.h>

#include <format>

#include "fleet/rollout/wire.h"
#include "ota/device_inventory.h"
#include "ota/transfer/mqtt_binding.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/fleet/simulator/signed_fleet.h"

namespace wayside::fleet {
namespace {

using namespace std::chrono_literals;

class SimulatedDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!wayside::test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    broker_ = std::make_unique<wayside::test::TestBroker>();
    operator_ = base::mqtt::Client::create(client("wayside-operator")).value();
    operator_->subscribe("te/device/+///cmd/model_update/+", 1);
    operator_->subscribe("te/device/+///twin/inventory", 1);
  }
  base::mqtt::ClientOptions client(std::string id) {
    base::mqtt::ClientOptions options;
    options.host = "127.0.0.1";
    options.port = broker_->port();
    options.client_id = std::move(id);
    options.max_in_flight = 64;
    return options;
  }
  void boot(const Shelf* shelf) {
    SimulatedDeviceOptions options;
    options.mqtt = client("dev-0");
    options.trusted = fleet_.root;
    options.gates.step_time = 20ms;
    options.gates.shelf = shelf;
    device_ = SimulatedDevice::create(std::move(options), disk_, clock_).value();
  }
  ota::RolloutPolicy policy(const test::SignedFleet::Release& release) {
    ota::RolloutPolicy made;
    made.id = "r1";
    made.role = "detector";
    made.manifest_sha256 = release.sha256;
    made.waves = {{.permille = 1000}};
    made.expires_unix_s = now_s() + 3600;
    return made;
  }
  std::int64_t now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count();
  }
  void publish(const base::mqtt::Message& message) {
    while (!operator_->publish(message)) turn();
  }
  void publish_documents(const test::SignedFleet::Release& release, const std::string& policy) {
    publish(base::mqtt::json_message(manifest_topic("te", release.sha256), release.envelope, 1, true));
    publish(base::mqtt::json_message(policy_topic("te", "r1"), policy, 1, true));
  }
  /// One turn of everybody.
  void turn() {
    while (const auto event = operator_->wait(clock_.now() + 2ms)) {
      if (event->kind != base::mqtt::Event::Kind::message) continue;
      if (event->message.topic.ends_with("/twin/inventory")) inventory_ = event->message.payload;
      if (const auto report = parse_report(event->message.payload); report) last_ = *report;
    }
    if (device_) {
      ASSERT_TRUE(device_->poll());
    }
    if (serve_) serve_();
  }
  template <class Condition>
  bool until(Condition condition, std::chrono::seconds limit = 20s) {
    const auto end = clock_.now() + limit;
    while (!condition() && clock_.now() < end) turn();
    return condition();
  }
  /// The device has dealt with everything that was published before: it has seen a later document as well.
  void settle() {
    const auto before = device_->refused_documents();
    publish(base::mqtt::json_message(policy_topic("te", "noise"), "{}", 1, false));
    ASSERT_TRUE(until([&] { return device_->refused_documents() > before; }));
    for (int i = 0; i < 50; ++i) turn();
  }

  base::Clock& clock_ = base::Clock::real();
  test::SignedFleet fleet_;
  std::unique_ptr<wayside::test::TestBroker> broker_;
  std::unique_ptr<base::mqtt::Client> operator_;
  SimulatedDisk disk_;
  std::unique_ptr<SimulatedDevice> device_;
  std::function<void()> serve_;
  DeviceReport last_;
  std::string inventory_;
};

TEST_F(SimulatedDeviceTest, OnlyASignedPolicyOpensTheDoor) {
  const auto release = fleet_.release("2.0.0", wayside::test::make_weights(4096, 1));
  auto limits = policy(release);
  boot(&fleet_.shelf);
  ASSERT_TRUE(until([&] { return device_->connected() && operator_->connected(); }));
  publish(command_message("te", "dev-0", limits, now_s()));
  // Nobody's document, one signed by the key for packages, and one by a stranger's key.
  for (const auto& bad : {ota::to_json(limits), test::SignedFleet::sign(limits, fleet_.package_key),
                          test::SignedFleet::sign(limits, ota::SecretKey::generate().value())}) {
    publish_documents(release, bad);
    settle();
    EXPECT_EQ(disk_.executions, 0U);
  }
  EXPECT_GE(device_->refused_documents(), 3U);
  // Signed for another model, and for a wave that opens tomorrow: whoever holds the operator's connection cannot hurry.
  auto other = limits;
  other.manifest_sha256 = std::string(64, 'b');
  publish_documents(release, fleet_.sign(other));
  settle();
  auto tomorrow = limits;
  tomorrow.not_before_unix_s = now_s() + 1000;
  publish_documents(release, fleet_.sign(tomorrow));
  settle();
  EXPECT_EQ(disk_.executions, 0U);
  publish_documents(release, fleet_.sign(limits));
  EXPECT_TRUE(until([&] { return last_.status == "successful"; })) << last_.status << " " << last_.reason;
  EXPECT_EQ(disk_.executions, 1U);
  EXPECT_EQ(device_->active_manifest("detector"), release.sha256);
}

TEST_F(SimulatedDeviceTest, FilesComeOverMqttAndARestartGoesOn) {
  const auto release = fleet_.release("2.0.0", wayside::test::make_weights(400'000, 2));
  wayside::test::TempDir dir;
  auto disk = base::DiskStorage::open(dir.path()).value();
  ota::Repository repository(disk);
  for (const auto& [digest, bytes] : fleet_.shelf) ASSERT_TRUE(repository.publish(ota::SpanSource(bytes)));
  ota::BlobServer server(repository, {});
  const auto serving = base::mqtt::Client::create(client("wayside-server-1")).value();
  ota::BlobServerPort port(server, *serving);
  port.join("te", "chunks");
  serve_ = [&] {
    while (const auto event = serving->wait(clock_.now())) port.forward(*event, clock_.now());
    port.flush(clock_.now());
  };
  boot(nullptr);
  ASSERT_TRUE(until([&] { return device_->connected() && operator_->connected() && serving->connected(); }));
  const auto limits = policy(release);
  publish_documents(release, fleet_.sign(limits));
  publish(command_message("te", "dev-0", limits, now_s()));
  ASSERT_TRUE(until([&] { return server.counters().payload_bytes > 100'000; }))
      << server.counters().requests << " requests, " << server.counters().refused << " refused, "
      << server.counters().payload_bytes << " bytes; " << last_.status << " " << last_.reason;
  device_.reset();
  boot(nullptr);
  EXPECT_TRUE(until([&] { return last_.status == "successful"; })) << last_.status << " " << last_.reason;
  EXPECT_EQ(disk_.executions, 1U);
  EXPECT_EQ(device_->active_manifest("detector"), release.sha256);
  ASSERT_TRUE(until([&] { return inventory_.contains(release.manifest.variants[0].file.hex()); }));
  const auto inventory = ota::parse_device_inventory(inventory_);
  ASSERT_TRUE(inventory) << inventory.error().message;
  EXPECT_EQ(inventory->board, "host");
  EXPECT_EQ(inventory->counters.at("detector"), 1U);
  EXPECT_EQ(inventory->blobs.at(release.manifest.variants[0].file), 400'000U);
}

TEST_F(SimulatedDeviceTest, ABadModelIsRolledBackAndSaysWhy) {
  const auto good = fleet_.release("1.0.0", wayside::test::make_weights(4096, 1));
  boot(&fleet_.shelf);
  ASSERT_TRUE(until([&] { return device_->connected() && operator_->connected(); }));
  auto limits = policy(good);
  publish_documents(good, fleet_.sign(limits));
  publish(command_message("te", "dev-0", limits, now_s()));
  ASSERT_TRUE(until([&] { return last_.status == "successful"; })) << last_.reason;
  const auto foreign = fleet_.release("3.0.0", wayside::test::make_weights(4096, 3),
                                      [](ota::Manifest& manifest) { manifest.boards = {"pi5-hailo8"}; });
  limits = policy(foreign);
  limits.id = "r2";
  publish(base::mqtt::json_message(manifest_topic("te", foreign.sha256), foreign.envelope, 1, true));
  publish(base::mqtt::json_message(policy_topic("te", "r2"), fleet_.sign(limits), 1, true));
  publish(command_message("te", "dev-0", limits, now_s()));
  ASSERT_TRUE(until([&] { return last_.status == "failed"; }));
  EXPECT_EQ(last_.code, ota::code_of(ota::Refusal::foreign_board));
  EXPECT_EQ(device_->active_manifest("detector"), good.sha256);
}

}  // namespace
}  // namespace wayside::fleet
