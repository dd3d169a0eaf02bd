// SPDX-License-Identifier: Apache-2.0
// Digests against the vectors of FIPS 180-4, and the only text that is accepted for one.
#include "ota/store/digest.h"

#include <gtest/gtest.h>

namespace wayside::ota {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(DigestTest, equals_the_published_vectors_whole_and_in_pieces) {
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256_of(bytes_of("abc")).value().hex(), abc);
  EXPECT_EQ(sha256_of({}).value().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 hash;
  hash.update(bytes_of("a"));
  hash.update({});
  hash.update(bytes_of("bc"));
  EXPECT_EQ(hash.finish().value().hex(), abc);
}

TEST(DigestTest, parses_its_own_text_and_nothing_else) {
  const Digest digest = sha256_of(bytes_of("abc")).value();
  EXPECT_EQ(Digest::parse(digest.hex()).value(), digest);
  const std::string text = digest.hex();
  for (const std::string& bad :
       {std::string{}, text.substr(1), text + "0", "B" + text.substr(1), "/" + text.substr(1), std::string(64, '.'),
        std::string(63, '0') + std::string(1, '\0'), "../" + text.substr(3)}) {
    EXPECT_FALSE(Digest::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace wayside::ota
