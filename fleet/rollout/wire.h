// SPDX-License-Identifier: Apache-2.0
// Topics and payloads of roll-outs, as docs/topics.md lays them down; used by the operator's side and the simulator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/mqtt/message.h"
#include "base/result.h"
#include "fleet/rollout/store.h"
#include "ota/rollout_policy.h"

namespace wayside::fleet {

/// Largest payload that is looked at; larger ones are dropped.
constexpr std::size_t kMaxReportBytes = 64 * 1024;

/// An update of one device (cmd/model_update, for the role "firmware" cmd/firmware_update): topic and the one command
/// id that a roll-out has, its own id.
struct CommandTopic {
  std::string device, command;
};
[[nodiscard]] std::string command_topic(std::string_view root, std::string_view device,
                                        const ota::RolloutPolicy& policy);
/// All devices, one roll-out (a wildcard filter).
[[nodiscard]] std::string reports_filter(std::string_view root, const ota::RolloutPolicy& policy);
/// One device, all its model updates.
[[nodiscard]] std::string commands_filter(std::string_view root, std::string_view device);
[[nodiscard]] std::optional<CommandTopic> parse_command_topic(std::string_view root, std::string_view topic);
/// What a device has (retained): ota::DeviceInventory.
[[nodiscard]] std::string inventory_topic(std::string_view root, std::string_view device);
/// Where a signed manifest is kept (retained): an ota::Envelope.
[[nodiscard]] std::string manifest_topic(std::string_view root, std::string_view manifest_sha256);
/// Where the signed policy of a roll-out is kept (retained).
[[nodiscard]] std::string policy_topic(std::string_view root, std::string_view rollout);

/// The command: it names a manifest and carries no authority. Retained, with the policy's expiry also in the payload.
[[nodiscard]] base::mqtt::Message command_message(std::string_view root, std::string_view device,
                                                  const ota::RolloutPolicy& policy, std::int64_t now_unix_s);
/// Takes a command back, or confirms a result: an empty retained message.
[[nodiscard]] base::mqtt::Message clear_message(std::string_view root, std::string_view device,
                                                const ota::RolloutPolicy& policy);

/// What a device reads of a command.
struct Command {
  std::string manifest_sha256, role;
  std::int64_t not_after_unix_s = 0;
};
/// Nothing unless it is a well-formed command ("status":"init").
[[nodiscard]] std::optional<Command> parse_command(std::string_view payload);

[[nodiscard]] base::mqtt::Message report_message(std::string_view root, std::string_view device,
                                                 std::string_view command, const DeviceReport& report);
/// Untrusted payload -> report. Errors: corrupt; unsupported for what is not a report (a command, an empty payload).
[[nodiscard]] base::Result<DeviceReport> parse_report(std::string_view payload);

}  // namespace wayside::fleet
