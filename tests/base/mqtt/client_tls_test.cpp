// SPDX-License-Identifier: Apache-2.0
// TLS against a real mosquitto: the right authority, a wrong one, and a client certificate.
#include <gtest/gtest.h>

#include <cstdlib>
#include <format>

#include "base/mqtt/client.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::base::mqtt {
namespace {

using Kind = Event::Kind;

class MqttTls : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    if (std::system("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "the openssl program is not installed";
    ASSERT_TRUE(authority("ca") && authority("other"));
    ASSERT_TRUE(signed_by_ca("server", "localhost") && signed_by_ca("device", "gate-1"));
  }
  bool run(const std::string& arguments) const {
    return std::system(std::format("cd {} && openssl {} >/dev/null 2>&1", dir_.path().string(), arguments).c_str()) ==
           0;
  }
  bool authority(const std::string& name) const {
    return run(
        std::format("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={0} -keyout "
                    "{0}.key -out {0}.pem",
                    name));
  }
  bool signed_by_ca(const std::string& name, const std::string& common_name) const {
    return run(std::format("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={1} -addext "
                           "subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {0}.key -out {0}.csr",
                           name, common_name)) &&
           run(std::format("x509 -req -in {0}.csr -CA ca.pem -CAkey ca.key -copy_extensions copy -days 2 -out {0}.pem",
                           name));
  }
  std::string file(const std::string& name) const { return (dir_.path() / name).string(); }
  std::string broker_config(bool want_certificate) const {
    return std::format("cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {}", file("ca.pem"), file("server.pem"),
                       file("server.key"), want_certificate);
  }
  static Kind first_outcome(const test::TestBroker& broker, TlsFiles tls, std::string& detail) {
    ClientOptions options;
    options.host = "localhost";
    options.port = broker.port();
    options.client_id = "gate-1";
    options.tls = std::move(tls);
    options.jitter_seed = 1;
    auto client = Client::create(std::move(options));
    EXPECT_TRUE(client) << client.error().message;
    const auto deadline = Clock::real().now() + std::chrono::seconds(30);
    while (Clock::real().now() < deadline) {
      if (const auto event = (*client)->wait(deadline)) {
        detail = event->detail;
        return event->kind;
      }
    }
    return Kind::lost;
  }

  test::TempDir dir_;
};

TEST_F(MqttTls, ConnectsWithTheRightAuthorityOnly) {
  test::TestBroker broker(broker_config(false));
  std::string detail;
  EXPECT_EQ(first_outcome(broker, {.ca = file("ca.pem")}, detail), Kind::connected) << detail;
  EXPECT_EQ(first_outcome(broker, {.ca = file("other.pem")}, detail), Kind::connect_failed);
  EXPECT_FALSE(detail.empty());
}

TEST_F(MqttTls, ShowsItsOwnCertificate) {
  test::TestBroker broker(broker_config(true));
  std::string detail;
  EXPECT_EQ(
      first_outcome(broker, {.ca = file("ca.pem"), .cert = file("device.pem"), .key = file("device.key")}, detail),
      Kind::connected)
      << detail;
  EXPECT_NE(first_outcome(broker, {.ca = file("ca.pem")}, detail), Kind::connected);
}

}  // namespace
}  // namespace wayside::base::mqtt
