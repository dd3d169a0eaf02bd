// SPDX-License-Identifier: Apache-2.0
// What the operator writes is what the device's own parser reads.
#include "fleet/rollout/wire.h"

#include <gtest/gtest.h>

#include "ota/updater/command.h"
#include "tests/fleet/rollout/virtual_fleet.h"

namespace wayside::fleet {
namespace {

TEST(Wire, TheUpdaterReadsTheCommand) {
  auto policy = fleet::test::virtual_policy("r1");
  policy.max_bytes = 6'000'000;
  const auto message = command_message("te", "gate-1", policy, 100);
  EXPECT_EQ(message.topic, "te/device/gate-1///cmd/model_update/r1");
  EXPECT_TRUE(message.retain);
  const auto parsed = ota::parse_update_command("r1", message.payload);
  ASSERT_TRUE(parsed) << describe(parsed.error());
  ASSERT_TRUE(*parsed);
  const auto& command = **parsed;
  EXPECT_EQ(command.rollout, "r1");
  EXPECT_EQ(command.role, policy.role);
  EXPECT_EQ(command.manifest.hex(), policy.manifest_sha256);
  EXPECT_EQ(command.not_after_unix_s, policy.expires_unix_s);
  EXPECT_EQ(command.max_bytes, 6'000'000U);
}

TEST(Wire, AFirmwareHasItsOwnTopics) {
  auto policy = fleet::test::virtual_policy("r1");
  policy.role = "firmware";
  const auto message = command_message("te", "gate-1", policy, 100);
  EXPECT_EQ(message.topic, "te/device/gate-1///cmd/firmware_update/r1");
  EXPECT_EQ(clear_message("te", "gate-1", policy).topic, message.topic);
  EXPECT_EQ(reports_filter("te", policy), "te/device/+///cmd/firmware_update/r1");
  const auto parts = parse_command_topic("te", message.topic);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->device, "gate-1");
  EXPECT_EQ(parts->command, "r1");
}

TEST(Wire, WithoutABudgetTheCommandHasNone) {
  const auto message = command_message("te", "gate-1", fleet::test::virtual_policy("r1"), 100);
  EXPECT_EQ(ota::parse_update_command("r1", message.payload)->value().max_bytes, 0U);
}

}  // namespace
}  // namespace wayside::fleet
