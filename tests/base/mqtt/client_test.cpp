// SPDX-License-Identifier: Apache-2.0
// The MQTT client against a real mosquitto: properties, will, limits, reconnect.
#include "base/mqtt/client.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::base::mqtt {
namespace {

using Kind = Event::Kind;
using test::TestBroker;
constexpr std::chrono::seconds kPatience{20};

class MqttClient : public testing::Test {
 protected:
  void SetUp() override {
    if (!TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
  }

  static std::unique_ptr<Client> make(const TestBroker& broker, ClientOptions options) {
    options.host = "127.0.0.1";
    options.port = broker.port();
    if (options.jitter_seed == 0) options.jitter_seed = 1;
    auto client = Client::create(std::move(options));
    EXPECT_TRUE(client) << client.error().message;
    return std::move(*client);
  }

  /// Waits for the next event of one kind, skipping others.
  static std::optional<Event> await(Client& client, Kind kind) {
    const auto deadline = Clock::real().now() + kPatience;
    while (Clock::real().now() < deadline) {
      auto event = client.wait(deadline);
      if (event && event->kind == kind) return event;
    }
    ADD_FAILURE() << "no event of kind " << static_cast<int>(kind);
    return std::nullopt;
  }
};

TEST_F(MqttClient, DeliversPropertiesUnchanged) {
  TestBroker broker;
  auto receiver = make(broker, {.client_id = "receiver"});
  receiver->subscribe("te/device/+//cmd/#", 1);
  ASSERT_TRUE(await(*receiver, Kind::connected));
  auto sender = make(broker, {.client_id = "sender"});
  ASSERT_TRUE(await(*sender, Kind::connected));

  Message message = json_message("te/device/a//cmd/self_test/1", R"({"status":"init"})", 1, true);
  message.expiry_s = 3600;
  message.response_topic = "te/device/a//cmd/self_test/1/answer";
  message.correlation_data = std::string("\x00\x01\xff", 3);
  const auto ticket = sender->publish(message);
  ASSERT_TRUE(ticket) << ticket.error().message;
  const auto acked = await(*sender, Kind::acked);
  ASSERT_TRUE(acked);
  EXPECT_EQ(acked->ticket, *ticket);
  EXPECT_EQ(sender->in_flight(), 0U);

  const auto got = await(*receiver, Kind::message);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->message.topic, message.topic);
  EXPECT_EQ(got->message.payload, message.payload);
  EXPECT_EQ(got->message.content_type, "application/json");
  EXPECT_EQ(got->message.response_topic, message.response_topic);
  EXPECT_EQ(got->message.correlation_data, message.correlation_data);
  ASSERT_TRUE(got->message.expiry_s);
  EXPECT_LE(*got->message.expiry_s, 3600U);
  EXPECT_EQ(got->message.user_properties, message.user_properties);
}

TEST_F(MqttClient, HonoursTheBrokersLimits) {
  if (!TestBroker::is_mosquitto()) GTEST_SKIP() << "the limits are set in mosquitto's words";
  TestBroker broker("max_packet_size 2000\nmax_inflight_messages 3");
  auto client = make(broker, {.client_id = "small"});
  EXPECT_EQ(client->publish(json_message("t", "{}", 1, false)).error().code, Code::bad_state);
  ASSERT_TRUE(await(*client, Kind::connected));
  EXPECT_EQ(client->limits().max_packet_bytes, 2000U);
  const auto too_large = client->publish(json_message("t", std::string(3000, 'x'), 1, false));
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::invalid_argument);
  EXPECT_NE(too_large.error().message.find("at most 2000"), std::string::npos);

  std::size_t accepted = 0;
  while (client->publish(json_message("t", "{}", 1, false))) ++accepted;  // nobody fetches acks meanwhile
  EXPECT_EQ(accepted, client->limits().max_in_flight);
  EXPECT_LE(accepted, 16U);
  for (std::size_t index = 0; index < accepted; ++index) ASSERT_TRUE(await(*client, Kind::acked));
  EXPECT_TRUE(client->publish(json_message("t", "{}", 1, false)));
}

TEST_F(MqttClient, ComesBackAndSubscribesAgainAfterTheBrokerWasKilled) {
  TestBroker broker;
  auto client = make(broker, {.client_id = "survivor", .session_expiry = std::chrono::hours(1)});
  client->subscribe("echo/#", 1);
  ASSERT_TRUE(await(*client, Kind::connected));
  broker.kill();
  const auto lost = await(*client, Kind::lost);
  ASSERT_TRUE(lost);
  EXPECT_NE(lost->detail.find("next attempt in"), std::string::npos);
  EXPECT_FALSE(client->connected());
  broker.start();
  ASSERT_TRUE(await(*client, Kind::connected));
  EXPECT_FALSE(client->limits().session_present);  // the broker forgot everything
  ASSERT_TRUE(client->publish(json_message("echo/x", "{}", 1, false)));
  EXPECT_TRUE(await(*client, Kind::message));
}

TEST_F(MqttClient, ReportsAnUnreachableBrokerAndKeepsTrying) {
  TestBroker broker;
  auto client = make(broker, {.client_id = "patient"});
  broker.kill();
  const auto failed = await(*client, Kind::connect_failed);
  ASSERT_TRUE(failed);
  EXPECT_NE(failed->detail.find("next attempt in"), std::string::npos) << failed->detail;
  broker.start();
  EXPECT_TRUE(await(*client, Kind::connected));
}

TEST_F(MqttClient, CloseIsOrderlyAndSendsNoWill) {
  TestBroker broker;
  auto watcher = make(broker, {.client_id = "watcher"});
  watcher->subscribe("will/#", 1);
  ASSERT_TRUE(await(*watcher, Kind::connected));
  auto client =
      make(broker, {.client_id = "leaver", .make_will = [] { return json_message("will/leaver", "down", 1, true); }});
  ASSERT_TRUE(await(*client, Kind::connected));
  ASSERT_TRUE(client->publish(json_message("will/leaver", "orderly", 1, true)));
  client->close(std::chrono::seconds(5));
  EXPECT_FALSE(client->connected());
  client.reset();
  const auto first = await(*watcher, Kind::message);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->message.payload, "orderly");
  ASSERT_TRUE(watcher->publish(json_message("will/end", "end", 1, false)));
  const auto next = await(*watcher, Kind::message);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->message.payload, "end");
}

TEST_F(MqttClient, TwoClientsWithOneIdTakeTurnsAndStayWhole) {
  if (!TestBroker::is_mosquitto()) GTEST_SKIP() << "needs retained messages for wildcards";
  TestBroker broker;
  auto first = make(broker, {.client_id = "twin"});
  first->subscribe("echo/#", 1);
  ASSERT_TRUE(await(*first, Kind::connected));
  for (int round = 0; round < 1; ++round) {
    auto second = make(broker, {.client_id = "twin", .jitter_seed = 2});
    second->subscribe("echo/#", 1);
    ASSERT_TRUE(await(*second, Kind::connected));
    EXPECT_TRUE(await(*first, Kind::lost));  // the broker gives the session to the newcomer
    ASSERT_TRUE(second->publish(json_message("echo/x", "{}", 1, true)));
    ASSERT_TRUE(await(*second, Kind::message));
    ASSERT_TRUE(await(*first, Kind::connected));
    EXPECT_TRUE(await(*second, Kind::lost));
    ASSERT_TRUE(await(*first, Kind::message));
  }
}

TEST_F(MqttClient, WakeEndsAWait) {
  auto client = Client::create({.host = "127.0.0.1", .port = test::free_port(), .client_id = "waker"});
  ASSERT_TRUE(client);
  (*client)->wake();
  while ((*client)->wait(Clock::real().now() + std::chrono::hours(1))) {
  }  // returns nothing: woken, long before the hour
}

TEST(MqttClientOptions, BadOnesAreNamed) {
  EXPECT_NE(Client::create({.client_id = "a/b"}).error().message.find("a/b"), std::string::npos);
  const auto no_ca = Client::create({.client_id = "a", .tls = {.ca = "/nonexistent/ca.pem"}});
  EXPECT_EQ(no_ca.error().code, Code::not_found);
  EXPECT_NE(no_ca.error().message.find("/nonexistent/ca.pem"), std::string::npos);
  EXPECT_FALSE(Client::create({.client_id = "a", .password_file = "/nonexistent/password"}));
}

TEST_F(MqttClient, WrongPasswordIsSaidPlainly) {
  if (!TestBroker::is_mosquitto()) GTEST_SKIP() << "the password is set in mosquitto's words";
  test::TempDir dir;
  std::ofstream(dir.path() / "passwords") << "";
  std::ofstream(dir.path() / "secret") << "wrong\n";
  TestBroker broker("allow_anonymous false\npassword_file " + (dir.path() / "passwords").string());
  auto client = make(broker, {.client_id = "a", .username = "cam", .password_file = dir.path() / "secret"});
  const auto failed = await(*client, Kind::connect_failed);
  ASSERT_TRUE(failed);
  EXPECT_NE(failed->detail.find("Not authorized"), std::string::npos) << failed->detail;
}

}  // namespace
}  // namespace wayside::base::mqtt
