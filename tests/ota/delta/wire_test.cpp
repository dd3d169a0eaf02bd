// SPDX-License-Identifier: Apache-2.0
// Varints: exhaustive over all encodings of up to three bytes, and the edges of 64 bits.
#include "ota/delta/wire.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace wayside::ota {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

TEST(WireTest, every_number_below_three_groups_round_trips_in_one_spelling) {
  for (std::uint64_t value = 0; value < (1U << 21U) + 300; ++value) {
    ByteWriter writer;
    writer.varint(value);
    ASSERT_EQ(writer.size(), varint_bytes(value));
    const Bytes bytes = writer.take();
    ByteReader reader(bytes);
    ASSERT_EQ(reader.varint(kAny, "n").value(), value);
    ASSERT_EQ(reader.left(), 0U);
  }
}

/// All 2^24 strings of three bytes: what is accepted is the shortest spelling of what is read, and nothing else is.
TEST(WireTest, every_three_bytes_are_read_or_refused_rightly) {
  Bytes bytes(3);
  for (std::uint32_t word = 0; word < (1U << 24U); ++word) {
    for (unsigned i = 0; i < 3; ++i) bytes[i] = static_cast<std::byte>(word >> (8 * i));
    ByteReader reader(bytes);
    const auto value = reader.varint(kAny, "n");
    const bool first_ends = (word & 0x80U) == 0;
    const bool second_ends = (word & 0x8000U) == 0;
    const bool third_ends = (word & 0x800000U) == 0;
    const std::size_t used = first_ends ? 1 : second_ends ? 2 : third_ends ? 3 : 0;
    const bool padded = used > 1 && bytes[used - 1] == std::byte{0};
    if (used == 0 || padded) {
      if (value) FAIL() << "accepted " << word;
      continue;
    }
    if (!value) FAIL() << "refused " << word;
    std::uint64_t want = word & 0x7fU;
    if (used > 1) want |= (word >> 8U & 0x7fU) << 7U;
    if (used > 2) want |= (word >> 16U & 0x7fU) << 14U;
    if (*value != want || reader.left() != 3 - used) FAIL() << word;
  }
}

TEST(WireTest, bounds_and_sixty_four_bits) {
  for (const std::uint64_t value : {kAny, kAny - 1, std::uint64_t{1} << 63U, (std::uint64_t{1} << 63U) - 1}) {
    ByteWriter writer;
    writer.varint(value);
    const Bytes bytes = writer.take();
    ByteReader exact(bytes);
    EXPECT_EQ(exact.varint(value, "n").value(), value);
    ByteReader below(bytes);
    EXPECT_EQ(below.varint(value - 1, "n").error().code, base::Code::corrupt);
  }
  Bytes overflow(9, std::byte{0xff});
  overflow.push_back(std::byte{2});
  ByteReader reader(overflow);
  EXPECT_FALSE(reader.varint(kAny, "n"));
  Bytes endless(20, std::byte{0x80});
  ByteReader other(endless);
  EXPECT_FALSE(other.varint(kAny, "n"));
}

TEST(WireTest, reads_stop_at_the_end) {
  const Bytes bytes(4);
  ByteReader reader(bytes);
  EXPECT_FALSE(reader.bytes(5, "b"));
  EXPECT_EQ(reader.left(), 4U) << "a refused read takes nothing";
  EXPECT_TRUE(reader.bytes(4, "b"));
  EXPECT_FALSE(reader.u8("b"));
  EXPECT_TRUE(reader.end("b"));
}

}  // namespace
}  // namespace wayside::ota
