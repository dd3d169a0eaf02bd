// SPDX-License-Identifier: Apache-2.0
// Chunks: sizes within bounds, cuts that follow the content, an index that is refused when anything is wrong.
#include "ota/delta/chunk_index.h"

#include <gtest/gtest.h>

#include <set>

#include "ota/delta/deflate.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::ota {
namespace {

struct Memory final : ByteSink {
  Bytes bytes;
  base::Result<void> write(BytesView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
};

ChunkIndex index_of(BytesView bytes, ByteSink* wire = nullptr) { return index_file(SpanSource(bytes), wire).value(); }

std::set<ChunkId> ids(const ChunkIndex& index) {
  std::set<ChunkId> all;
  for (const Chunk& chunk : index.chunks) all.insert(chunk.id);
  return all;
}

TEST(ChunkIndexTest, chunks_cover_the_file_and_average_16_kib) {
  const Bytes file = test::make_weights(8 << 20U, 1);
  Memory wire;
  const ChunkIndex index = index_of(file, &wire);
  std::uint64_t offset = 0;
  std::size_t wire_offset = 0;
  for (const Chunk& chunk : index.chunks) {
    EXPECT_EQ(chunk.offset, offset);
    EXPECT_LE(chunk.raw_bytes, kMaxChunkBytes);
    const auto raw = BytesView(file).subspan(offset, chunk.raw_bytes);
    const auto travels = BytesView(wire.bytes).subspan(wire_offset, chunk.wire_bytes);
    EXPECT_TRUE(std::ranges::equal(inflate_chunk(travels, chunk.raw_bytes).value(), raw));
    EXPECT_EQ(chunk.id, chunk_id(raw).value());
    offset += chunk.raw_bytes;
    wire_offset += chunk.wire_bytes;
  }
  EXPECT_EQ(offset, file.size());
  EXPECT_EQ(index.wire_bytes(), wire.bytes.size());
  const double mean = static_cast<double>(file.size()) / static_cast<double>(index.chunks.size());
  EXPECT_NEAR(mean, kNormalChunkBytes, 3000);
  EXPECT_EQ(index.file_hash, sha256_of(file).value());
}

TEST(ChunkIndexTest, small_and_incompressible_files) {
  EXPECT_TRUE(index_of({}).chunks.empty());
  EXPECT_EQ(index_of(Bytes(1)).chunks.size(), 1U);
  test::SeededRandom random(2);
  Bytes noise(100'000);
  for (auto& byte : noise) byte = static_cast<std::byte>(random.next());
  for (const Chunk& chunk : index_of(noise).chunks) EXPECT_EQ(chunk.wire_bytes, chunk.raw_bytes);
  EXPECT_LE(index_of(Bytes(1 << 20U)).wire_bytes(), 8192U) << "zeros deflate";
}

TEST(ChunkIndexTest, an_insertion_changes_few_chunks) {
  const Bytes file = test::make_weights(4 << 20U, 3);
  Bytes longer = test::make_weights(1024, 4);
  longer.insert(longer.end(), file.begin(), file.end());
  const auto known = ids(index_of(file));
  std::size_t fresh = 0;
  for (const Chunk& chunk : index_of(longer).chunks) fresh += known.contains(chunk.id) ? 0U : 1U;
  EXPECT_LE(fresh, 3U);
}

TEST(ChunkIndexTest, document_round_trips_and_every_damage_is_refused_or_seen) {
  const Bytes file = test::make_weights(200'000, 5);
  const ChunkIndex index = index_of(file);
  const Bytes document = index.serialize();
  const auto again = ChunkIndex::parse(document);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->serialize(), document);
  for (std::size_t cut = 0; cut < document.size(); ++cut) {
    EXPECT_FALSE(ChunkIndex::parse(BytesView(document).first(cut))) << cut;
  }
  for (std::size_t at = 0; at < document.size(); ++at) {
    Bytes bad = document;
    bad[at] ^= std::byte{1};
    const auto parsed = ChunkIndex::parse(bad);
    if (parsed) {
      EXPECT_EQ(parsed->serialize(), bad) << "what is accepted has one spelling";
    }
  }
  Bytes longer = document;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(ChunkIndex::parse(longer));
}

TEST(ChunkIndexTest, inflating_never_passes_the_stated_size) {
  const Bytes zeros(60'000);
  const Bytes deflated = deflate_chunk(zeros).value();
  EXPECT_TRUE(inflate_chunk(deflated, 60'000));
  EXPECT_FALSE(inflate_chunk(deflated, 59'999));
  EXPECT_FALSE(inflate_chunk(deflated, 60'001));
  EXPECT_FALSE(inflate_chunk(BytesView(deflated).first(deflated.size() - 1), 60'000));
}

}  // namespace
}  // namespace wayside::ota
