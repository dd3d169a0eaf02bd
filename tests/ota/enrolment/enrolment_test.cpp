// SPDX-License-Identifier: Apache-2.0
// The device's half of enrolment: what it takes for its certificate, and what not.
#include "ota/enrolment/enrolment.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fleet/identity/authority.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::ota {
namespace {

namespace mqtt = base::mqtt;

class EnrolmentTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    broker_ = std::make_unique<test::TestBroker>();
  }

  /// Enrols against an operator whose answer lies ready on the broker.
  base::Result<std::string> enroll_with(const std::string& answer) {
    mqtt::ClientOptions connection{.host = "127.0.0.1", .port = broker_->port(), .client_id = "operator"};
    auto client = mqtt::Client::create(connection).value();
    EXPECT_TRUE(wait(*client, mqtt::Event::Kind::connected));
    const auto ticket = client->publish(
        {.topic = enrolment_reply_topic("te", "batch-7", "gate-1"), .payload = answer, .qos = 1, .retain = true});
    EXPECT_TRUE(ticket && wait(*client, mqtt::Event::Kind::acked));
    connection.client_id = "batch-7";
    return enroll({.claim_connection = connection, .claim = "batch-7", .device = "gate-1"}, key_, base::Clock::real());
  }
  static bool wait(mqtt::Client& client, mqtt::Event::Kind wanted) {
    const auto deadline = base::Clock::real().now() + std::chrono::seconds(30);
    while (base::Clock::real().now() < deadline) {
      const auto event = client.wait(deadline);
      if (event && event->kind == wanted) return true;
    }
    return false;
  }
  static std::string answer(const std::string& key, const std::string& value) {
    return nlohmann::json{{"device", "gate-1"}, {key, value}}.dump();
  }

  test::TempDir dir_;
  fleet::Authority authority_ = fleet::Authority::create(dir_.path() / "ca", "fleet").value();
  DeviceKey key_ = DeviceKey::generate().value();
  std::unique_ptr<test::TestBroker> broker_;
};

TEST_F(EnrolmentTest, TakesACertificateOfItsKeyAndName) {
  const auto certificate = authority_.sign_request(key_.request("gate-1").value(), "gate-1").value();
  const auto taken = enroll_with(answer("certificate", certificate));
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(*taken, certificate);
}

TEST_F(EnrolmentTest, RefusesEverythingElse) {
  const auto other = DeviceKey::generate().value();
  const auto foreign = authority_.sign_request(other.request("gate-1").value(), "gate-1").value();
  const auto renamed = authority_.sign_request(key_.request("gate-2").value(), "gate-2").value();
  for (const auto& bad : {answer("certificate", foreign), answer("certificate", renamed), answer("certificate", ""),
                          std::string("[7"), std::string("{}"), answer("certificate", std::string(30'000, 'x'))})
    EXPECT_EQ(enroll_with(bad).error().code, base::Code::corrupt) << bad.substr(0, 60);
  const auto refused = enroll_with(answer("refused", "not allowed: " + std::string(1000, 'x')));
  EXPECT_EQ(refused.error().code, base::Code::bad_state);
  EXPECT_TRUE(refused.error().message.starts_with("not allowed")) << refused.error().message;
  EXPECT_LE(refused.error().message.size(), 300U);
}

}  // namespace
}  // namespace wayside::ota
