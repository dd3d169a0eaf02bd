// SPDX-License-Identifier: Apache-2.0
// Keys: the vectors of RFC 8032, PEM there and back, nothing else accepted.
#include "ota/package/keys.h"

#include <gtest/gtest.h>

namespace wayside::ota {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(KeysTest, verifies_the_first_vector_of_rfc_8032) {
  PublicKey key;
  Signature signature;
  ASSERT_TRUE(from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", key.bytes));
  ASSERT_TRUE(
      from_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
               "d25bf5f0595bbe24655141438e7a100b",
               signature));
  EXPECT_TRUE(key.verify({}, signature));
  EXPECT_FALSE(key.verify(bytes_of("x"), signature));
}

TEST(KeysTest, pem_goes_there_and_back) {
  const auto secret = SecretKey::generate().value();
  const auto again = SecretKey::from_pem(secret.pem().value()).value();
  const auto key = secret.public_key().value();
  EXPECT_EQ(again.public_key().value(), key);
  EXPECT_EQ(PublicKey::from_pem(key.pem()).value(), key);
  EXPECT_TRUE(key.verify(bytes_of("text"), again.sign(bytes_of("text")).value()));
  EXPECT_NE(SecretKey::generate().value().public_key().value().id(), key.id());
}

TEST(KeysTest, other_files_are_refused) {
  const auto secret = SecretKey::generate().value();
  EXPECT_FALSE(SecretKey::from_pem("no key"));
  EXPECT_FALSE(SecretKey::from_pem(secret.public_key().value().pem()));
  EXPECT_FALSE(PublicKey::from_pem(secret.pem().value()));
  EXPECT_FALSE(PublicKey::from_pem(""));
}

}  // namespace
}  // namespace wayside::ota
