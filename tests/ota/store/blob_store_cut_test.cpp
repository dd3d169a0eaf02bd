// SPDX-License-Identifier: Apache-2.0
// Power cut at every operation of writing and collecting blobs: what is visible afterwards is whole; the living stay.
#include <gtest/gtest.h>

#include "ota/store/blob_store.h"

namespace wayside::ota {
namespace {

std::vector<std::byte> some_bytes(std::size_t count, unsigned seed) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24U);
  return bytes;
}

/// Writes two blobs in pieces and collects an old one; the operation numbers are the same in every run.
void work(base::Storage& storage, const std::set<Digest>& live) {
  auto store = BlobStore::open(storage);
  if (!store) return;
  for (unsigned seed : {11U, 12U}) {
    const auto bytes = some_bytes(3000, seed);
    auto writer = store->stage({sha256_of(bytes).value(), bytes.size()});
    for (std::size_t at = 0; writer && at < bytes.size(); at += 1000) {
      if (!writer->append(std::span(bytes).subspan(at, 1000))) return;
    }
    if (!writer || !writer->commit()) return;
  }
  (void)store->collect(live);
}

TEST(BlobStoreCutTest, whole_or_absent_at_every_cut_and_the_living_stay) {
  std::uint64_t points = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    base::FaultyStorage prepared(seed * 2654435761U);
    if (seed % 2 == 0) prepared.reorder_directory_changes();
    auto before = BlobStore::open(prepared).value();
    const Digest live = before.put(some_bytes(500, 1)).value();
    const Digest dead = before.put(some_bytes(600, 2)).value();
    const std::set<Digest> keep{live, sha256_of(some_bytes(3000, 11)).value(), sha256_of(some_bytes(3000, 12)).value()};
    base::FaultyStorage whole = prepared;
    work(whole, keep);
    const auto first = prepared.operation_count();
    for (std::uint64_t cut = first; cut <= whole.operation_count(); ++cut, ++points) {
      base::FaultyStorage storage = prepared;
      storage.cut_at(cut);
      work(storage, keep);
      storage.power_cut();
      auto after = BlobStore::open(storage).value();
      ASSERT_TRUE(after.verify(live)) << "seed " << seed << " cut " << cut;
      const auto visible = after.list().value();
      for (const Digest& digest : visible) {
        ASSERT_TRUE(after.verify(digest)) << "torn: seed " << seed << " cut " << cut;
      }
      // Recovery: the same work finishes.
      work(storage, keep);
      ASSERT_EQ(after.list().value().size(), 3U) << "seed " << seed << " cut " << cut;
      ASSERT_FALSE(after.has(dead));
    }
  }
  EXPECT_GT(points, 800U);
}

}  // namespace
}  // namespace wayside::ota
