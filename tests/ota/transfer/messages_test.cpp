// SPDX-License-Identifier: Apache-2.0
// Transfer messages: round trips, one spelling each, every damage refused or harmless; bitmaps exhaustively in small
// bounds.
#include "ota/transfer/messages.h"

#include <gtest/gtest.h>

#include "base/mqtt/message.h"
#include "ota/transfer/topics.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::ota {
namespace {

Digest digest_of(std::string_view text) { return sha256_of(bytes_of(text)).value(); }

std::vector<Request> requests() {
  PieceSet pieces;
  for (const std::uint32_t number : {5U, 6U, 9U, 500U}) EXPECT_TRUE(pieces.add(number));
  PieceSet page;
  EXPECT_TRUE(page.add(0));
  return {OfferRequest{.target = digest_of("t"), .have = {digest_of("a"), digest_of("b")}}, OfferRequest{},
          PieceRequest{.kind = PieceKind::chunk, .blob = digest_of("t"), .pieces = pieces, .site = "plant-7"},
          PieceRequest{.kind = PieceKind::index_page, .blob = digest_of("t"), .pieces = page}};
}

std::vector<Reply> replies() {
  const Route route{.kind = RouteKind::subtract,
                    .base = digest_of("a"),
                    .blob = digest_of("d"),
                    .blob_bytes = 1234,
                    .index_hash = digest_of("i"),
                    .index_bytes = 99,
                    .chunk_bytes = 1200};
  return {Offer{.target = digest_of("t"), .target_bytes = 5000, .routes = {route, Route{}}},
          Piece{.kind = PieceKind::chunk, .tag = tag_of(digest_of("t")), .number = 77, .data = Bytes(100)},
          BlobRefusal{.code = RefusalCode::busy, .text = "busy"}};
}

template <class Message, class Parse>
void expect_one_spelling(const std::vector<Message>& messages, Parse parse) {
  for (const Message& message : messages) {
    const Bytes good = serialize(message);
    const auto again = parse(good);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, message);
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const unsigned mask : {1U, 0x80U, 0xffU}) {
        Bytes bad = good;
        bad[at] ^= static_cast<std::byte>(mask);
        if (const auto parsed = parse(bad)) {
          EXPECT_EQ(serialize(*parsed), bad);
        }
      }
      if (const auto cut = parse(BytesView(good).first(at))) {
        EXPECT_EQ(serialize(*cut).size(), at) << "only a piece may be shorter: its data end with the message";
      }
    }
  }
}

TEST(TransferMessagesTest, requests_have_one_spelling) {
  expect_one_spelling<Request>(requests(), [](BytesView bytes) { return parse_request(bytes); });
}

TEST(TransferMessagesTest, replies_have_one_spelling) {
  expect_one_spelling<Reply>(replies(), [](BytesView bytes) { return parse_reply(bytes); });
}

TEST(TransferMessagesTest, the_largest_message_fits) {
  const Piece chunk{.kind = PieceKind::chunk, .number = kMaxChunks - 1, .data = Bytes(kMaxChunkBytes)};
  base::mqtt::Message message{.topic = site_blob_topic("te", std::string(64, 's'), digest_of("t")),
                              .payload = std::string(text_of(serialize(Reply(chunk))))};
  EXPECT_LE(base::mqtt::packet_bytes(message), kMaxMessageBytes);
  Offer offer{.routes = std::vector<Route>(kMaxRoutes)};
  EXPECT_LE(serialize(Reply(offer)).size(), kMaxMessageBytes / 16);
}

/// All subsets of 12 neighbours, at the start, in the middle and at the end of a small blob.
TEST(PieceSetTest, every_small_set_round_trips) {
  constexpr std::uint32_t kCount = 40;
  for (const std::uint32_t start : {0U, 13U, kCount - 12}) {
    for (std::uint32_t subset = 1; subset < (1U << 12U); ++subset) {
      PieceSet set;
      std::vector<std::uint32_t> numbers;
      for (std::uint32_t bit = 0; bit < 12; ++bit) {
        if ((subset >> bit & 1U) == 0) continue;
        ASSERT_TRUE(set.add(start + bit));
        numbers.push_back(start + bit);
      }
      ASSERT_EQ(set.numbers(), numbers);
      ByteWriter writer;
      set.write(writer);
      const Bytes bytes = writer.take();
      ByteReader reader(bytes);
      ASSERT_EQ(PieceSet::read(reader, kCount).value(), set);
      ByteReader smaller(bytes);
      ASSERT_FALSE(PieceSet::read(smaller, numbers.back())) << "the last number is out of a blob that ends before it";
    }
  }
}

/// Every string of four bytes (first numbers far beyond the blob thinned out): what is accepted names pieces of the
/// blob only and is spelt in one way.
TEST(PieceSetTest, every_four_bytes_are_read_or_refused_rightly) {
  constexpr std::uint32_t kCount = 20;
  std::uint32_t accepted = 0;
  Bytes bytes(4);
  for (std::uint32_t first = 0; first < 256; first += first < 24 || first > 120 ? 1 : 7) {
    for (std::uint32_t size = 0; size < 4; ++size) {
      for (std::uint32_t bits = 0; bits < (size == 2 ? 1U << 16U : 1U << 8U); ++bits) {
        bytes = {static_cast<std::byte>(first), static_cast<std::byte>(size), static_cast<std::byte>(bits),
                 static_cast<std::byte>(bits >> 8U)};
        ByteReader reader(bytes);
        const auto set = PieceSet::read(reader, kCount);
        const std::uint32_t used = size == 1 ? bits & 0xffU : bits;
        const bool sound = first < 128 && (size == 1 || (size == 2 && bits > 0xffU)) && (used & 1U) != 0 &&
                           first + static_cast<unsigned>(std::bit_width(used)) <= kCount;
        if (set.has_value() != sound) FAIL() << first << " " << size << " " << bits;
        if (!set) continue;
        ++accepted;
        if (set->numbers().front() != first || set->numbers().back() >= kCount) FAIL() << first << " " << bits;
      }
    }
  }
  EXPECT_GT(accepted, 1000U);
}

TEST(PieceSetTest, span_and_order) {
  PieceSet set;
  EXPECT_TRUE(set.add(100));
  EXPECT_FALSE(set.add(99));
  EXPECT_FALSE(set.add(100 + PieceSet::kSpan));
  EXPECT_TRUE(set.add(100 + PieceSet::kSpan - 1));
  EXPECT_EQ(set.numbers().size(), 2U);
}

TEST(TransferTopicsTest, replies_go_to_the_asking_device_only) {
  EXPECT_EQ(reply_topic_of("te", "te/device/gate-1///blob/get"), "te/device/gate-1///blob/data");
  EXPECT_EQ(server_filter("te", "g"), "$share/g/te/device/+///blob/get");
  EXPECT_EQ(server_filter("te", ""), "te/device/+///blob/get");
  for (const char* topic : {"te/device////blob/get", "te/device/a/b///blob/get", "te/device/a+///blob/get", "blob/get",
                            "te/device/gate-1///blob/data", "xx/device/gate-1///blob/get", "te/device/blob/get"}) {
    EXPECT_FALSE(reply_topic_of("te", topic)) << topic;
  }
}

TEST(TransferMessagesTest, the_cheapest_route_wins_and_of_equals_the_simplest) {
  Offer offer;
  EXPECT_EQ(cheapest(offer), nullptr);
  offer.routes = {{.kind = RouteKind::subtract, .index_bytes = 1, .chunk_bytes = 9},
                  {.kind = RouteKind::full, .index_bytes = 5, .chunk_bytes = 5},
                  {.kind = RouteKind::patch, .index_bytes = 6, .chunk_bytes = 5}};
  EXPECT_EQ(cheapest(offer)->kind, RouteKind::full);
  offer.routes[2].chunk_bytes = 3;
  EXPECT_EQ(cheapest(offer)->kind, RouteKind::patch);
}

}  // namespace
}  // namespace wayside::ota
