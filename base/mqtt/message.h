// SPDX-License-Identifier: Apache-2.0
// Message: one MQTT 5 publication with the properties that this project uses, and the checks of topic names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wayside::base::mqtt {

struct Message {
  std::string topic{};
  std::string payload{};
  int qos = 1;  ///< 0 or 1; 2 is not used
  bool retain = false;
  std::string content_type{};               ///< e.g. "application/json"; also sets Payload Format Indicator 1 (UTF-8)
  std::optional<std::uint32_t> expiry_s{};  ///< Message Expiry Interval
  std::string response_topic{};             ///< request/response (MQTT 5 section 4.10)
  std::string correlation_data{};           ///< opaque bytes, copied into the response
  std::vector<std::pair<std::string, std::string>> user_properties{};
};

/// A JSON message as the contract wants it (docs/topics.md): content type and user property schema=1.
[[nodiscard]] Message json_message(std::string topic, std::string payload, int qos, bool retain);

/// Upper bound of the bytes of `message` on the wire as an MQTT 5 PUBLISH packet; what a Maximum Packet Size limits.
[[nodiscard]] std::size_t packet_bytes(const Message& message);

/// Checks a topic name to publish on: not empty, at most 65535 bytes, no wildcards, no NUL (MQTT 5 section 4.7).
[[nodiscard]] Result<void> check_topic(std::string_view topic);

/// Checks one level that comes from configuration (device id, root, role): [A-Za-z0-9._-]{1,64}. Client ids with
/// + # / let one device write into another's topics (CVE-2017-7650).
[[nodiscard]] Result<void> check_topic_level(std::string_view what, std::string_view level);

}  // namespace wayside::base::mqtt
