// SPDX-License-Identifier: Apache-2.0
// Topic checks and packet sizes.
#include "base/mqtt/message.h"

#include <gtest/gtest.h>

namespace wayside::base::mqtt {
namespace {

TEST(Message, RefusesWildcardsAndEmptyTopics) {
  EXPECT_TRUE(check_topic("te/device/a//m/telemetry"));
  for (const char* bad : {"", "te/+/x", "te/#"}) EXPECT_FALSE(check_topic(bad)) << bad;
  EXPECT_FALSE(check_topic(std::string(65536, 'x')));
}

TEST(Message, RefusesLevelsThatWouldEscapeTheirPlace) {
  EXPECT_TRUE(check_topic_level("device.id", "cam-01.gate_A"));
  for (const char* bad : {"", "a/b", "a+", "#", "a b", "ä"}) EXPECT_FALSE(check_topic_level("device.id", bad)) << bad;
  EXPECT_FALSE(check_topic_level("device.id", std::string(65, 'a')));
  EXPECT_EQ(check_topic_level("device.id", "a/b").error().message,
            "device.id \"a/b\" is not usable in MQTT topics: use 1 to 64 of A-Z a-z 0-9 . _ -");
}

TEST(Message, JsonCarriesContentTypeAndSchema) {
  const Message message = json_message("t", "{}", 1, true);
  EXPECT_EQ(message.content_type, "application/json");
  ASSERT_EQ(message.user_properties.size(), 1U);
  EXPECT_EQ(message.user_properties[0].first, "schema");
  EXPECT_EQ(message.user_properties[0].second, "1");
}

TEST(Message, PacketBytesBoundsTheWire) {
  // fixed 2 + topic 2+1 + id 2 + property length 1 + payload 3 = 11 on the wire; the estimate may be larger, not
  // smaller.
  Message message;
  message.topic = "t";
  message.payload = "abc";
  EXPECT_GE(packet_bytes(message), 11U);
  const auto bare = packet_bytes(message);
  message.user_properties = {{"schema", "1"}};
  EXPECT_EQ(packet_bytes(message), bare + 1 + 2 + 6 + 2 + 1);
}

}  // namespace
}  // namespace wayside::base::mqtt
