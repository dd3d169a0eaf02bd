// SPDX-License-Identifier: Apache-2.0
// A fleet cut over two edge brokers with a chunk server each, joined to the operator's broker by the shipped bridge
// configuration: a roll-out reaches every device although an edge broker dies in the middle.
#include <gtest/gtest.h>

#include <array>
#include <format>
#include <fstream>
#include <regex>

#include "fleet/rollout/driver.h"
#include "fleet/simulator/simulated_device.h"
#include "fleet/sql/schema.h"
#include "ota/transfer/mqtt_binding.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/fleet/simulator/signed_fleet.h"
#include "tests/support/figures.h"

namespace wayside::fleet {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kEdges = 2, kDevicesPerEdge = 20;

base::mqtt::ClientOptions client(std::uint16_t port, std::string id) {
  base::mqtt::ClientOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.client_id = std::move(id);
  options.receive_maximum = 64;
  options.max_in_flight = 64;
  return options;
}

std::string bridge_to(std::uint16_t port) {
  std::ifstream file(WAYSIDE_SOURCE_DIR "/packaging/mosquitto/edge-bridge.conf");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return "max_inflight_messages 20\nmax_queued_messages 0\n" +
         std::regex_replace(text, std::regex("@OPERATOR@"), std::format("127.0.0.1:{}", port));
}

/// One partition: broker, chunk server, devices.
struct Edge {
  Edge(std::size_t number, std::uint16_t core, const test::SignedFleet& fleet, base::Storage& files)
      : broker(bridge_to(core)), repository(files), server(repository, {}) {
    serving = base::mqtt::Client::create(client(broker.port(), std::format("wayside-server-{}", number))).value();
    port = std::make_unique<ota::BlobServerPort>(server, *serving);
    port->join("te", "chunks");
    for (std::size_t i = 0; i < kDevicesPerEdge; ++i) {
      SimulatedDeviceOptions options;
      options.mqtt = client(broker.port(), std::format("edge{}-dev{}", number, i));
      options.mqtt.max_in_flight = 16;
      options.mqtt.receive_maximum = 16;
      options.trusted = fleet.root;
      options.gates.step_time = 300ms;
      names.push_back(options.mqtt.client_id);
      devices.push_back(SimulatedDevice::create(std::move(options), disks.at(i), base::Clock::real()).value());
    }
  }
  void poll() {
    auto& clock = base::Clock::real();
    while (const auto event = serving->wait(clock.now())) port->forward(*event, clock.now());
    port->flush(clock.now());
    for (auto& device : devices) ASSERT_TRUE(device->poll());
  }

  wayside::test::TestBroker broker;
  ota::Repository repository;
  ota::BlobServer server;
  std::unique_ptr<base::mqtt::Client> serving;
  std::unique_ptr<ota::BlobServerPort> port;
  std::array<SimulatedDisk, kDevicesPerEdge> disks;
  std::vector<std::string> names;
  std::vector<std::unique_ptr<SimulatedDevice>> devices;
};

TEST(BridgedBrokers, ARolloutReachesBothPartitionsAlthoughOneBrokerDies) {
  if (!wayside::test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
  auto& clock = base::Clock::real();
  test::SignedFleet fleet;
  const auto release = fleet.release("2.0.0", wayside::test::make_weights(60'000, 1));
  base::FaultyStorage files(1);
  ota::Repository publisher(files);
  for (const auto& [digest, bytes] : fleet.shelf) ASSERT_TRUE(publisher.publish(ota::SpanSource(bytes)));
  wayside::test::TestBroker core("max_inflight_messages 20\nmax_queued_messages 0");
  std::vector<std::unique_ptr<Edge>> edges;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kEdges; ++i) {
    edges.push_back(std::make_unique<Edge>(i, core.port(), fleet, files));
    names.insert(names.end(), edges.back()->names.begin(), edges.back()->names.end());
  }
  wayside::test::TempDir dir;
  auto database = open_fleet_database(dir.path() / "fleet.db").value();
  RolloutStore store(database);
  ota::RolloutPolicy policy;
  policy.id = "r1";
  policy.role = "detector";
  policy.manifest_sha256 = release.sha256;
  policy.waves = {{.permille = 100}, {.permille = 1000}};
  policy.max_in_flight = 8;
  policy.expires_unix_s = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + 86'400;
  ota::cut_waves(policy, names);
  ASSERT_TRUE(store.put_manifest(release.sha256, release.envelope));
  ASSERT_TRUE(store.create(policy, fleet.sign(policy), names, 0));
  DriverOptions options;
  options.mqtt = client(core.port(), "wayside-operator");
  options.interval = 200ms;
  const auto driver = Driver::create(store, policy.id, options, clock).value();
  const auto give_up = clock.now() + 180s;
  bool killed = false, done = false;
  while (!done && clock.now() < give_up) {
    done = driver->poll(2ms).value();
    for (auto& edge : edges) edge->poll();
    if (!killed && driver->view().snapshot.evidence.executed >= names.size() / 4) {
      edges[0]->broker.kill();
      edges[0]->broker.start();
      killed = true;
    }
  }
  EXPECT_TRUE(killed);
  ASSERT_TRUE(done) << driver->view().why << driver->view().connection;
  const auto seen = store.snapshot(policy, 1).value();
  EXPECT_EQ(seen.state, RunState::completed);
  std::uint64_t executions = 0;
  for (const auto& edge : edges) {
    for (const auto& disk : edge->disks) executions += disk.executions;
    EXPECT_GT(edge->server.counters().payload_bytes, kDevicesPerEdge * 40'000) << "each serves its own devices";
  }
  EXPECT_EQ(seen.evidence.executed, names.size());
  EXPECT_EQ(seen.evidence.failed, 0U);
  EXPECT_EQ(executions, names.size()) << "each command runs once";
  testing_support::figure("bridged_brokers", kEdges + 1);
  testing_support::figure("bridged_devices", names.size());
  testing_support::figure("bridged_devices_lost", names.size() - seen.evidence.executed);
}

}  // namespace
}  // namespace wayside::fleet
