// SPDX-License-Identifier: Apache-2.0
// Roots are followed, kept, and never taken from whom the last one does not name.
#include "agent/ota/root_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

using ota::Refusal;

struct RootStoreTest : testing::Test {
  test::TempDir dir;
  base::FaultyStorage storage{1};
  std::vector<ota::SecretKey> keys;

  void SetUp() override {
    for (int i = 0; i < 4; ++i) keys.push_back(ota::SecretKey::generate().value());
    std::ofstream(path()) << root(1, keys[0], {&keys[0]}).serialize();
  }
  std::filesystem::path path() const { return dir.path() / "root.json"; }
  static ota::Envelope root(std::uint32_t version, const ota::SecretKey& holder,
                            const std::vector<const ota::SecretKey*>& signers) {
    const auto key = holder.public_key().value();
    ota::Root made{.version = version, .issued_unix_s = 1, .expires_unix_s = 4'000'000'000};
    made.root = made.packages = made.rollouts = {.keys = {{key.id(), key}}, .threshold = 1};
    ota::Envelope envelope{.type = std::string(ota::kRootType), .body = made.serialize()};
    for (const auto* signer : signers)
      envelope.signatures.push_back(ota::sign_document(*signer, envelope.type, envelope.body).value());
    return envelope;
  }
  std::uint32_t version() { return RootStore::open(storage, path()).value().current().version; }
};

TEST_F(RootStoreTest, TheChainIsFollowedAndOutlivesAPowerCut) {
  auto roots = RootStore::open(storage, path()).value();
  const auto third = root(3, keys[2], {&keys[1], &keys[2]});
  EXPECT_EQ(roots.offer(3, third).error().reason, Refusal::root_version) << "the second must come first";
  EXPECT_TRUE(roots.offer(2, root(2, keys[1], {&keys[0], &keys[1]})).value());
  storage.power_cut();
  EXPECT_EQ(version(), 2U);
  EXPECT_TRUE(roots.offer(3, third).value());
  EXPECT_FALSE(roots.offer(3, third).value()) << "known: nothing changes";
  storage.power_cut();
  EXPECT_EQ(version(), 3U);
}

TEST_F(RootStoreTest, AStrangersRootIsRefusedAndNotKept) {
  auto roots = RootStore::open(storage, path()).value();
  EXPECT_FALSE(roots.offer(2, root(2, keys[3], {&keys[3]})));
  EXPECT_FALSE(roots.offer(2, {.type = std::string(ota::kRootType), .body = "{}", .signatures = {}}));
  EXPECT_EQ(roots.offer(2, root(3, keys[1], {&keys[0], &keys[1]})).error().reason, Refusal::root_version)
      << "its topic lies";
  EXPECT_EQ(roots.current().version, 1U);
  EXPECT_EQ(version(), 1U);
}

TEST_F(RootStoreTest, ADamagedDocumentEndsTheChainThereAndCanBeSentAgain) {
  const auto second = root(2, keys[1], {&keys[0], &keys[1]});
  ASSERT_TRUE(RootStore::open(storage, path()).value().offer(2, second));
  ASSERT_TRUE(storage.write("roots/2", std::as_bytes(std::span(std::string_view("garbage")))));
  auto roots = RootStore::open(storage, path()).value();
  EXPECT_EQ(roots.current().version, 1U);
  EXPECT_TRUE(roots.offer(2, second).value());
}

TEST_F(RootStoreTest, WithoutItsFirstRootTheDeviceTrustsNobody) {
  const auto missing = RootStore::open(storage, dir.path() / "none.json");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("wayside keys root"), std::string::npos) << missing.error().message;
  std::ofstream(path()) << root(1, keys[0], {&keys[3]}).serialize();
  EXPECT_FALSE(RootStore::open(storage, path())) << "not signed by its own key";
}

}  // namespace
}  // namespace wayside::agent
