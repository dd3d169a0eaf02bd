// SPDX-License-Identifier: Apache-2.0
// The real agent on the wire: birth, health, Will, telemetry, detections, losses of the broker.
#include <signal.h>

#include <set>

#include "tests/system/agent_fixture.h"
#include "tests/system/agent_relay.h"

namespace wayside::test {
namespace {

using testing::HasSubstr;

TEST_F(AgentSystem, IsBornTellsItsHealthAndLeavesInOrder) {
  TestBroker broker;
  Wire wire(broker.port());
  auto agent = start({.port = broker.port()});

  const auto registration = wire.await_topic("te/device/dut//");
  ASSERT_TRUE(registration) << agent->errors();
  EXPECT_EQ(registration->payload["@type"], "device");
  EXPECT_EQ(registration->payload["@id"], "dut");
  EXPECT_EQ(registration->payload["name"], "Device under test");
  EXPECT_EQ(registration->message.content_type, "application/json");
  EXPECT_EQ(registration->message.user_properties.at(0), (std::pair<std::string, std::string>("schema", "1")));

  for (const char* topic : {"te/device/dut///twin/software", "te/device/dut///twin/hardware",
                            "te/device/dut///twin/runtime", "te/device/dut///m/telemetry/meta"}) {
    EXPECT_TRUE(wire.await_topic(topic)) << topic;
  }
  const auto model = wire.await_topic("te/device/dut///twin/model/detector");
  ASSERT_TRUE(model);
  EXPECT_EQ(model->payload["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(model->payload["variant"], "cpu-int8");

  const auto up = wire.await([](const auto& got) { return got.topic == kHealth && got.payload["state"] == "running"; });
  ASSERT_TRUE(up) << agent->errors();
  EXPECT_EQ(up->payload["status"], "up");
  EXPECT_EQ(up->payload["pid"], agent->pid());
  EXPECT_FALSE(up->payload["boot_id"].get<std::string>().empty());

  const auto telemetry = wire.await([](const auto& got) {
    return got.topic == kTelemetry && got.payload.value("fps_processed", 0.0) > 0 &&
           got.payload.contains("total_p99_ms");
  });
  ASSERT_TRUE(telemetry) << agent->errors();
  EXPECT_GT(telemetry->payload["rss_bytes"], 1'000'000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // shadow memory would be counted
  EXPECT_LE(telemetry->payload["rss_bytes"], 42'000'000) << "budget: 40 MiB with one detector";
#endif
  EXPECT_GE(telemetry->payload["total_p99_ms"], telemetry->payload["total_p50_ms"]);
  EXPECT_GE(telemetry->payload["total_p50_ms"], telemetry->payload["inference_p50_ms"]);

  agent->send(SIGTERM);
  EXPECT_EQ(agent->wait(), 0) << agent->errors();
  const auto down = wire.await([](const auto& got) { return got.topic == kHealth && got.payload["status"] == "down"; });
  ASSERT_TRUE(down);
  EXPECT_EQ(down->payload["epoch"], up->payload["epoch"]);
  EXPECT_TRUE(down->payload["uptime_ms"] >= up->payload["uptime_ms"]);

  // What a newcomer sees: the retained picture of an absent device.
  Wire later(broker.port());
  later.flush();
  std::set<std::string> retained;
  for (const auto& got : later.received) {
    if (got.retained) retained.insert(got.topic);
  }
  EXPECT_TRUE(retained.contains(kHealth));
  EXPECT_TRUE(retained.contains("te/device/dut//"));
}

TEST_F(AgentSystem, AKilledAgentIsReportedByItsWillWithTheSameEpoch) {
  TestBroker broker;
  Wire wire(broker.port());
  auto agent = start({.port = broker.port()});
  const auto up = wire.await([](const auto& got) { return got.topic == kHealth && got.payload["status"] == "up"; });
  ASSERT_TRUE(up) << agent->errors();
  agent->send(SIGKILL);
  agent->wait();
  const auto down = wire.await([](const auto& got) { return got.topic == kHealth && got.payload["status"] == "down"; });
  ASSERT_TRUE(down);
  EXPECT_EQ(down->payload["epoch"], up->payload["epoch"]);

  auto second = start({.port = broker.port()});
  const auto again = wire.await([&](const auto& got) {
    return got.topic == kHealth && got.payload["status"] == "up" && got.payload["epoch"] > up->payload["epoch"];
  });
  EXPECT_TRUE(again) << second->errors();
}

TEST_F(AgentSystem, TheSyntheticStreetShowsUpOnTheWire) {
  TestBroker broker;
  Wire wire(broker.port());
  auto agent = start({.port = broker.port()});
  const auto seen =
      wire.await([](const auto& got) { return got.topic == kDetection && !got.payload["detections"].empty(); });
  ASSERT_TRUE(seen) << agent->errors();
  EXPECT_GT(seen->payload["seq"], 0);
  EXPECT_EQ(seen->payload["model"]["role"], "detector");
  for (const auto& found : seen->payload["detections"]) {
    EXPECT_FALSE(found["label"].get<std::string>().empty());
    EXPECT_GT(found["score"], 0);
    EXPECT_LE(found["score"], 1);
    const auto box = found["box"].get<std::vector<double>>();
    ASSERT_EQ(box.size(), 4U);
    EXPECT_LT(box[0], box[2]);
    EXPECT_LT(box[1], box[3]);
    for (const double edge : box) {
      EXPECT_GE(edge, 0);
      EXPECT_LE(edge, 1);
    }
  }
}

/// The broker is killed, loses all its state, and comes back: every event number of the run arrives.
TEST_F(AgentSystem, NoEventIsLostWhenTheBrokerIsKilledAndComesBack) {
  TestBroker broker;
  Relay relay(broker.port());
  auto wire = std::make_unique<Wire>(broker.port());
  auto agent = start({.port = relay.port(), .more = "detections: {max_rate_hz: 1000}\n"});

  std::set<std::uint64_t> sequences;
  const auto collect = [&] {
    for (const auto& got : wire->received) {
      if (got.topic == kDetection) sequences.insert(got.payload["seq"].get<std::uint64_t>());
    }
  };
  const auto await_events = [&](std::uint64_t count) {
    std::uint64_t seen = 0;
    ASSERT_TRUE(wire->await([&](const auto& got) { return got.topic == kDetection && ++seen == count; }))
        << agent->errors();
  };
  await_events(5);
  relay.cut();
  wire->flush();  // what the broker had taken is here now
  collect();
  broker.kill();
  broker.start();
  wire = std::make_unique<Wire>(broker.port());
  relay.resume();
  await_events(20);
  agent->send(SIGTERM);
  ASSERT_EQ(agent->wait(), 0) << agent->errors();
  wire->flush();
  collect();

  ASSERT_FALSE(sequences.empty());
  EXPECT_EQ(*sequences.rbegin() - *sequences.begin() + 1, sequences.size())
      << "event numbers are missing between " << *sequences.begin() << " and " << *sequences.rbegin();
  EXPECT_THAT(agent->errors(), HasSubstr("event=lost"));
}

TEST_F(AgentSystem, RunsWithoutABrokerAndDeliversLater) {
  const std::uint16_t port = free_port();
  auto agent = start({.port = port}, {"--run-for", "6", "--json"});
  ASSERT_EQ(agent->wait(), 0) << agent->errors();
  EXPECT_THAT(agent->errors(), HasSubstr(std::format("event=unreachable broker=mqtt://127.0.0.1:{}", port)));
  const auto summary = json::parse(agent->output());
  EXPECT_GT(summary["frames_processed"], 0);
  ASSERT_GT(summary["events"], 0) << agent->errors();
  EXPECT_GT(summary["outbox_bytes"], 0);
  EXPECT_EQ(summary["events_dropped"], 0);

  TestBroker broker;
  Wire wire(broker.port());
  auto second = start({.port = broker.port()});
  const auto stored = summary["events"].get<std::size_t>();
  std::set<std::uint64_t> sequences;
  EXPECT_TRUE(wire.await([&](const auto& got) {
    if (got.topic == kDetection) sequences.insert(got.payload["seq"].template get<std::uint64_t>());
    return sequences.size() >= stored;
  })) << second->errors();
  EXPECT_TRUE(sequences.contains(1));
  EXPECT_TRUE(sequences.contains(stored));
}

}  // namespace
}  // namespace wayside::test
