// SPDX-License-Identifier: Apache-2.0
// Certificates and the provisioning desk: who gets one, once, and who does not.
#include "fleet/identity/provisioning.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "fleet/sql/schema.h"
#include "ota/enrolment/device_key.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::fleet {
namespace {

class Provisioning : public testing::Test {
 protected:
  wayside::test::TempDir dir_;
  sql::Database database_ = open_fleet_database(dir_.path() / "fleet.db").value();
  Inventory inventory_{database_};
  Authority authority_ = Authority::create(dir_.path() / "ca", "fleet").value();
  ProvisioningDesk desk_{inventory_, authority_};

  static std::string payload(const std::string& device, const std::string& request) {
    return nlohmann::json{{"device", device}, {"csr", request}}.dump();
  }
  ProvisioningDesk::Reply ask(const std::string& claim, const std::string& device, const std::string& named) {
    return desk_.answer(claim, payload(device, ota::DeviceKey::generate()->request(named).value()), 5);
  }
};

TEST_F(Provisioning, AnAllowedDeviceGetsItsCertificateOnce) {
  ASSERT_TRUE(inventory_.put({.id = "gate-1"}));
  const auto reply = ask("batch-7", "gate-1", "gate-1");
  ASSERT_TRUE(reply.granted) << reply.payload;
  const auto certificate = nlohmann::json::parse(reply.payload).at("certificate").get<std::string>();
  EXPECT_EQ(inventory_.find("gate-1")->state, DeviceState::enrolled);
  EXPECT_EQ(inventory_.find("gate-1")->certificate_sha256, fingerprint(certificate).value());
  EXPECT_FALSE(ask("batch-7", "gate-1", "gate-1").granted) << "a second board with the same name";
}

TEST_F(Provisioning, OthersAreRefusedWithTheSameWords) {
  ASSERT_TRUE(inventory_.put({.id = "gate-1", .labels = {{"claim", "batch-8"}}}));
  ASSERT_TRUE(inventory_.put({.id = "gate-2"}));
  ASSERT_TRUE(inventory_.revoke("gate-2"));
  std::set<std::string> reasons;
  for (const char* device : {"gate-1", "gate-2", "unknown"}) {
    const auto reply = ask("batch-7", device, device);
    EXPECT_FALSE(reply.granted) << device;
    auto words = nlohmann::json::parse(reply.payload).at("refused").get<std::string>();
    reasons.insert(words.substr(0, words.rfind(' ')));
  }
  EXPECT_EQ(reasons.size(), 1U);
  EXPECT_TRUE(ask("batch-8", "gate-1", "gate-1").granted);
}

TEST_F(Provisioning, DamagedRequestsAreRefused) {
  ASSERT_TRUE(inventory_.put({.id = "gate-1"}));
  EXPECT_FALSE(ask("batch-7", "gate-1", "gate-2").granted) << "the request names another";
  auto request = ota::DeviceKey::generate()->request("gate-1").value();
  for (const auto& bad : {std::string(), std::string("no PEM"), request.substr(0, request.size() / 2),
                          authority_.certificate_pem(), std::string(30'000, 'x')})
    EXPECT_FALSE(desk_.answer("batch-7", payload("gate-1", bad), 5).granted);
  // One flipped character in each place: the signature covers all of it.
  const auto start = request.find('\n') + 1, end = request.rfind("-----END");
  for (auto at = start; at < end; at += 7) {
    auto flipped = request;
    if (flipped[at] == '\n') continue;
    flipped[at] = flipped[at] == 'A' ? 'B' : 'A';
    if (flipped == request) continue;
    EXPECT_FALSE(desk_.answer("batch-7", payload("gate-1", flipped), 5).granted) << at;
  }
  for (const char* junk : {"", "[]", "null", "{}", "{\"device\":7}", "{\"device\":\"a/b\"}"})
    EXPECT_TRUE(desk_.answer("batch-7", junk, 5).device.empty()) << junk;
  EXPECT_EQ(inventory_.find("gate-1")->state, DeviceState::allowed);
}

TEST_F(Provisioning, TheAuthorityIsMadeOnceAndItsKeyIsSecret) {
  EXPECT_EQ(Authority::create(dir_.path() / "ca", "again").error().code, base::Code::bad_state);
  struct stat info{};
  ASSERT_EQ(::stat((dir_.path() / "ca/ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(Authority::open(dir_.path() / "none").error().code, base::Code::not_found);
  Authority other = Authority::create(dir_.path() / "other", "x").value();
  std::filesystem::copy_file(dir_.path() / "other/ca.crt", dir_.path() / "ca/ca.crt",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(Authority::open(dir_.path() / "ca").error().code, base::Code::corrupt);
  EXPECT_FALSE(authority_.issue(Purpose::broker, "b", {"email:x"}));
  EXPECT_FALSE(authority_.issue(Purpose::device, "a/b"));
}

}  // namespace
}  // namespace wayside::fleet
