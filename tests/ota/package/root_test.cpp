// SPDX-License-Identifier: Apache-2.0
// Roots: rotation needs the old and the new threshold; a lost key and a stolen key are rehearsed.
#include "ota/package/root.h"

#include <gtest/gtest.h>

#include "tests/ota/package/package_kit.h"

namespace wayside::ota {
namespace {

struct RootTest : testing::Test {
  std::vector<SecretKey> keys;
  Root first;

  void SetUp() override {
    for (int i = 0; i < 6; ++i) keys.push_back(SecretKey::generate().value());
    first = root_with({0, 1, 2}, 2, 1);
  }
  Root root_with(std::vector<std::size_t> holders, std::uint32_t threshold, std::uint32_t version) {
    Root root{.version = version, .issued_unix_s = 1000, .expires_unix_s = 2000};
    root.packages = root.rollouts = PackageKit::role_of({&keys[5]}, 1);
    std::vector<const SecretKey*> chosen;
    for (const auto i : holders) chosen.push_back(&keys[i]);
    root.root = PackageKit::role_of(chosen, threshold);
    return root;
  }
  std::string sign(const Root& root, std::vector<std::size_t> by, std::string_view type = kRootType) {
    Envelope envelope{.type = std::string(type), .body = root.serialize()};
    for (const auto i : by) envelope.signatures.push_back(sign_document(keys[i], type, envelope.body).value());
    return envelope.serialize();
  }
  Refusal reason(const Checked<Root>& root) { return root ? Refusal::io : root.error().reason; }
};

TEST_F(RootTest, the_first_root_carries_its_own_threshold) {
  EXPECT_EQ(open_first_root(sign(first, {0, 2})).value().serialize(), first.serialize());
  EXPECT_EQ(reason(open_first_root(sign(first, {0}))), Refusal::root_threshold_new);
  EXPECT_EQ(reason(open_first_root(sign(first, {0, 4}))), Refusal::unknown_key);
  EXPECT_EQ(reason(open_first_root(sign(first, {0, 1}, "wayside-model/1"))), Refusal::unknown_type);
}

TEST_F(RootTest, a_lost_key_is_replaced_by_the_others) {
  const Root next = root_with({0, 1, 3}, 2, 2);
  EXPECT_TRUE(follow_root(first, sign(next, {0, 1})));
  EXPECT_EQ(follow_chain(std::vector{sign(first, {0, 1}), sign(next, {0, 1})}).value().version, 2U);
}

TEST_F(RootTest, a_stolen_key_alone_rotates_nothing) {
  const Root next = root_with({0, 4}, 1, 2);
  EXPECT_EQ(reason(follow_root(first, sign(next, {0, 4}))), Refusal::root_threshold_old);
  EXPECT_EQ(reason(follow_root(first, sign(root_with({3, 4}, 2, 2), {0, 1}))), Refusal::root_threshold_new);
  EXPECT_EQ(reason(follow_root(first, sign(root_with({3, 4}, 2, 2), {0, 1, 3}))), Refusal::root_threshold_new);
  EXPECT_TRUE(follow_root(first, sign(root_with({3, 4}, 2, 2), {0, 1, 3, 4})));
}

TEST_F(RootTest, versions_neither_skip_nor_return) {
  EXPECT_EQ(reason(follow_root(first, sign(root_with({0, 1}, 1, 3), {0, 1}))), Refusal::root_version);
  EXPECT_EQ(reason(follow_root(first, sign(first, {0, 1}))), Refusal::root_version);
}

TEST_F(RootTest, a_threshold_that_nobody_can_reach_is_refused) {
  Root bad = root_with({0, 1}, 2, 1);
  bad.packages.threshold = 2;
  EXPECT_EQ(reason(open_first_root(sign(bad, {0, 1}))), Refusal::root_malformed);
  EXPECT_EQ(reason(follow_chain({})), Refusal::no_root);
}

TEST_F(RootTest, every_flipped_byte_of_a_root_is_refused) {
  const std::string good = sign(first, {0, 1});
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(open_first_root(bad)) << i;
  }
}

}  // namespace
}  // namespace wayside::ota
