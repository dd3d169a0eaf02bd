// SPDX-License-Identifier: Apache-2.0
// SHA-256 test vectors.
#include "agent/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

namespace wayside::agent {
namespace {

TEST(Sha256, KnownAnswers) {  // FIPS 180-2, appendix B.1
  const std::string_view text = "abc";
  EXPECT_EQ(*sha256_of(std::as_bytes(std::span(text))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*sha256_of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, MissingFileIsNamed) {
  const auto digest = sha256_of_file("/nonexistent/model.tflite");
  ASSERT_FALSE(digest);
  EXPECT_NE(digest.error().message.find("/nonexistent/model.tflite"), std::string::npos);
}

}  // namespace
}  // namespace wayside::agent
