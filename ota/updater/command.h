// SPDX-License-Identifier: Apache-2.0
// UpdateCommand: "install this manifest"; carries no authority, only the hash of a manifest that is signed elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ota/package/refusal.h"
#include "ota/store/digest.h"

namespace wayside::ota {

inline constexpr std::size_t kMaxCommandBytes = 64 * 1024;

struct UpdateCommand {
  std::string id;  ///< last level of the topic; one execution per id
  std::string role;
  Digest manifest;
  std::int64_t not_after_unix_s = 0;  ///< in the payload, because a retained copy outlives the broker's expiry
  std::uint64_t max_bytes = 0;        ///< 0: no budget
  std::string rollout;                ///< id of the roll-out policy it belongs to; may be empty
};

/// 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot.
[[nodiscard]] bool is_command_name(std::string_view text);

/// The payload of te/device/<id>///cmd/model_update/<cmd_id>:
///   {"status":"init","role":"detector","target":{"manifest_sha256":"9f.."},"not_after":"2026-09-02T06:00:00Z",
///    "hints":{"max_bytes":6000000},"rollout":"2026w36-det"}
/// Unknown fields are ignored. Nothing when the status is another one (our own answer coming back, a finished command).
/// Refusals: command_malformed.
[[nodiscard]] Checked<std::optional<UpdateCommand>> parse_update_command(std::string_view id, std::string_view payload);

/// "2026-09-02T06:00:00Z" (UTC, seconds, optional fraction); nothing when it is something else.
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace wayside::ota
