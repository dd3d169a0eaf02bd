// SPDX-License-Identifier: Apache-2.0
// Commands as they come from the broker: read, ignored or refused.
#include "ota/updater/command.h"

#include <gtest/gtest.h>

namespace wayside::ota {
namespace {

const std::string kHash(64, 'a');

std::string payload(const std::string& more = {}) {
  return R"({"status":"init","exec":1,"role":"detector","not_after":"2026-09-02T06:00:00Z","target":{"name":"x","manifest_sha256":")" +
         kHash + R"("})" + more + "}";
}

TEST(CommandTest, reads_what_it_needs_and_ignores_the_rest) {
  const auto command =
      parse_update_command("c-1", payload(R"(,"hints":{"max_bytes":600},"rollout":"2026w36","x":[1.5])"));
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_EQ((*command)->role, "detector");
  EXPECT_EQ((*command)->manifest.hex(), kHash);
  EXPECT_EQ((*command)->max_bytes, 600U);
  EXPECT_EQ((*command)->rollout, "2026w36");
  EXPECT_EQ((*command)->not_after_unix_s, 1'788'328'800);
}

TEST(CommandTest, other_states_are_nobodys_command) {
  const auto ours = parse_update_command("c-1", R"({"status":"successful"})");
  ASSERT_TRUE(ours);
  EXPECT_FALSE(ours->has_value());
}

TEST(CommandTest, malformed_ones_are_refused) {
  EXPECT_FALSE(parse_update_command("../c", payload()));
  EXPECT_FALSE(parse_update_command("", payload()));
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"status":1})"),
        std::string(R"({"status":"init"})"), payload(R"(,"hints":{"max_bytes":-1})"), payload(R"(,"rollout":"a/b")"),
        std::string(100'000, '['), std::string(kMaxCommandBytes + 1, ' ')}) {
    const auto command = parse_update_command("c-1", bad);
    ASSERT_FALSE(command) << bad.substr(0, 80);
    EXPECT_EQ(command.error().reason, Refusal::command_malformed);
  }
}

TEST(CommandTest, times) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339("2000-02-29T23:59:59.125Z"), 951'868'799);
  for (const auto* bad :
       {"", "2026-02-29T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z", "-026-01-01T00:00:00Z", "2026-01-01T00:00:00.xZ"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
}

}  // namespace
}  // namespace wayside::ota
