// SPDX-License-Identifier: Apache-2.0
// Size and topic checks of MQTT messages.
#include "base/mqtt/message.h"

#include <algorithm>
#include <format>

namespace wayside::base::mqtt {
namespace {

constexpr std::size_t kMaxStringBytes = 65535;  // two-byte length prefix, MQTT 5 section 1.5.4
constexpr std::size_t kMaxLevelBytes = 64;

bool is_level_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

Message json_message(std::string topic, std::string payload, int qos, bool retain) {
  return {.topic = std::move(topic),
          .payload = std::move(payload),
          .qos = qos,
          .retain = retain,
          .content_type = "application/json",
          .user_properties = {{"schema", "1"}}};
}

std::size_t packet_bytes(const Message& message) {
  constexpr std::size_t kFixedHeader = 5;     // type + remaining length of at most 4 bytes
  constexpr std::size_t kPacketId = 2;        //
  constexpr std::size_t kPropertyLength = 4;  // variable byte integer
  constexpr std::size_t kStringProperty = 3;  // identifier + length
  std::size_t bytes = kFixedHeader + 2 + message.topic.size() + kPacketId + kPropertyLength + message.payload.size();
  if (!message.content_type.empty()) bytes += kStringProperty + message.content_type.size() + 2;
  if (message.expiry_s) bytes += 5;
  if (!message.response_topic.empty()) bytes += kStringProperty + message.response_topic.size();
  if (!message.correlation_data.empty()) bytes += kStringProperty + message.correlation_data.size();
  for (const auto& [name, value] : message.user_properties) bytes += kStringProperty + name.size() + 2 + value.size();
  return bytes;
}

Result<void> check_topic(std::string_view topic) {
  if (topic.empty()) return fail(Code::invalid_argument, "MQTT topic is empty");
  if (topic.size() > kMaxStringBytes) return fail(Code::invalid_argument, "MQTT topic is longer than 65535 bytes");
  if (topic.find_first_of(std::string_view("+#\0", 3)) != std::string_view::npos) {
    return fail(Code::invalid_argument, std::format("MQTT topic \"{}\" contains a wildcard (+ or #)", topic));
  }
  return {};
}

Result<void> check_topic_level(std::string_view what, std::string_view level) {
  if (level.empty() || level.size() > kMaxLevelBytes || !std::ranges::all_of(level, is_level_character)) {
    return fail(Code::invalid_argument,
                std::format("{} \"{}\" is not usable in MQTT topics: use 1 to 64 of A-Z a-z 0-9 . _ -", what, level));
  }
  return {};
}

}  // namespace wayside::base::mqtt
