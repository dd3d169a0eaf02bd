// SPDX-License-Identifier: Apache-2.0
// The device's key: made once, kept through power cuts, never replaced behind the owner's back.
#include "ota/enrolment/device_key.h"

#include <gtest/gtest.h>

#include <span>

#include "fleet/identity/authority.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::ota {
namespace {

TEST(DeviceKey, IsMadeOnceAndReadAgain) {
  const test::TempDir dir;
  auto storage = base::DiskStorage::open(dir.path()).value();
  const auto first = DeviceKey::open_or_create(storage, "device.key").value().pem().value();
  EXPECT_EQ(DeviceKey::open_or_create(storage, "device.key").value().pem().value(), first);
  EXPECT_NE(DeviceKey::open_or_create(storage, "other.key").value().pem().value(), first);
}

TEST(DeviceKey, ADamagedFileIsRefusedAndLeftAlone) {
  const test::TempDir dir;
  auto storage = base::DiskStorage::open(dir.path()).value();
  const auto pem = DeviceKey::open_or_create(storage, "device.key").value().pem().value();
  for (const std::string& bad :
       {std::string(), std::string("no key"), pem.substr(0, pem.size() / 2), std::string(20'000, 'x')}) {
    ASSERT_TRUE(storage.write("device.key", std::as_bytes(std::span(bad))));
    EXPECT_FALSE(DeviceKey::open_or_create(storage, "device.key"));
    EXPECT_EQ(storage.file_bytes("device.key").value(), bad.size());
  }
}

TEST(DeviceKey, NoPowerCutLosesAKeyThatWasTold) {
  int told = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (std::uint64_t cut = 0; cut < 8; ++cut) {
      base::FaultyStorage storage(seed);
      storage.cut_at(cut);
      const auto before = DeviceKey::open_or_create(storage, "device.key");
      storage.power_cut();
      const auto after = DeviceKey::open_or_create(storage, "device.key");
      ASSERT_TRUE(after) << seed << " " << cut << ": " << after.error().message;
      if (!before) continue;
      ++told;
      EXPECT_EQ(after->pem().value(), before->pem().value()) << seed << " " << cut;
    }
  }
  EXPECT_GT(told, 0);
}

TEST(DeviceKey, KnowsItsOwnCertificateOnly) {
  const test::TempDir dir;
  const auto authority = fleet::Authority::create(dir.path() / "ca", "fleet").value();
  const auto key = DeviceKey::generate().value(), other = DeviceKey::generate().value();
  const auto certificate = authority.sign_request(key.request("gate-1").value(), "gate-1").value();
  EXPECT_TRUE(key.has_certificate(certificate, "gate-1"));
  EXPECT_FALSE(key.has_certificate(certificate, "gate-2"));
  EXPECT_FALSE(other.has_certificate(certificate, "gate-1"));
  EXPECT_FALSE(key.has_certificate("", "gate-1"));
  EXPECT_FALSE(key.has_certificate(std::string(17UL * 1024, 'x'), ""));
  EXPECT_EQ(certificate_name(certificate).value(), "gate-1");
  EXPECT_EQ(certificate_name("junk").error().code, base::Code::corrupt);
  EXPECT_FALSE(key.request("a/b")) << "a device id is one topic level";
}

}  // namespace
}  // namespace wayside::ota
