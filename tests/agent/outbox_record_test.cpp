// SPDX-License-Identifier: Apache-2.0
// Outbox records: round trip, truncation at every byte, every bit flipped.
#include "agent/outbox_record.h"

#include <gtest/gtest.h>

namespace wayside::agent {
namespace {

const OutboxRecord kRecord{.sequence = 0x0102030405060708, .wall_ms = -5, .topic = "te/x", .payload = "{\"a\":1}"};

TEST(OutboxRecord, RoundTrip) {
  std::vector<std::byte> bytes;
  append_encoded(kRecord, bytes);
  append_encoded({.sequence = 2, .wall_ms = 3, .topic = {}, .payload = {}}, bytes);
  EXPECT_EQ(bytes.size(), encoded_bytes(kRecord) + encoded_bytes({}));
  std::span<const std::byte> rest = bytes;
  EXPECT_EQ(take_encoded(rest), kRecord);
  EXPECT_EQ(take_encoded(rest)->sequence, 2U);
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(take_encoded(rest));
}

TEST(OutboxRecord, CrcIsTheStandardOne) {
  // Check value of CRC-32/ISO-HDLC for "123456789" is CBF43926; here the body is the record itself, so the file's bytes
  // are pinned instead: they must never change without a new format.
  std::vector<std::byte> bytes;
  append_encoded({.sequence = 1, .wall_ms = 2, .topic = "t", .payload = "p"}, bytes);
  const std::vector<unsigned> expected = {20, 0, 0, 0};
  for (std::size_t index = 0; index < expected.size(); ++index) {
    EXPECT_EQ(static_cast<unsigned>(bytes[index]), expected[index]);
  }
  EXPECT_EQ(bytes.size(), 28U);
}

TEST(OutboxRecord, EveryTruncationAndBitFlipIsNoticed) {
  std::vector<std::byte> bytes;
  append_encoded(kRecord, bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::span<const std::byte> cut(bytes.data(), size);
    EXPECT_FALSE(take_encoded(cut)) << size;
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    std::span<const std::byte> span = damaged;
    EXPECT_FALSE(take_encoded(span)) << "bit " << bit;
  }
}

}  // namespace
}  // namespace wayside::agent
