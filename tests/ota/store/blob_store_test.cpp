// SPDX-License-Identifier: Apache-2.0
// The blob store on the real disk and on the faulty twin: what is visible is whole, what is not wanted goes.
#include "ota/store/blob_store.h"

#include <gtest/gtest.h>

#include <unistd.h>

namespace wayside::ota {
namespace {

std::vector<std::byte> some_bytes(std::size_t count, unsigned seed) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24U);
  return bytes;
}

Blob blob_of(std::span<const std::byte> bytes) { return {sha256_of(bytes).value(), bytes.size()}; }

TEST(BlobStoreTest, a_blob_appears_only_when_committed) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto bytes = some_bytes(200'000, 7);
  const Blob blob = blob_of(bytes);
  {
    auto writer = store.stage(blob).value();
    ASSERT_TRUE(writer.append(std::span(bytes).first(150'000)));
    EXPECT_FALSE(store.has(blob.digest));
    ASSERT_TRUE(writer.sync());
  }
  auto writer = store.stage(blob, 150'000).value();
  EXPECT_EQ(writer.written_bytes(), 150'000U);
  ASSERT_TRUE(writer.append(std::span(bytes).subspan(150'000)));
  ASSERT_TRUE(writer.commit());
  EXPECT_TRUE(store.has(blob.digest));
  EXPECT_EQ(store.read(blob.digest, bytes.size()).value(), bytes);
  EXPECT_TRUE(store.verify(blob.digest));
  std::array<std::byte, 10> part{};
  ASSERT_TRUE(store.read_at(blob.digest, 199'990, part));
  EXPECT_EQ(part[9], bytes.back());
  EXPECT_EQ(store.read_at(blob.digest, 199'991, part).error().code, base::Code::end_of_stream);
}

TEST(BlobStoreTest, wrong_bytes_and_wrong_sizes_never_appear) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto bytes = some_bytes(1000, 3);
  auto wrong = bytes;
  wrong[500] ^= std::byte{1};
  const Blob blob = blob_of(bytes);
  auto flipped = store.stage(blob).value();
  ASSERT_TRUE(flipped.append(wrong));
  EXPECT_EQ(flipped.commit().error().code, base::Code::corrupt);
  auto shorter = store.stage(blob).value();
  ASSERT_TRUE(shorter.append(std::span(bytes).first(999)));
  EXPECT_EQ(shorter.commit().error().code, base::Code::corrupt);
  auto longer = store.stage(blob).value();
  ASSERT_TRUE(longer.append(bytes));
  EXPECT_EQ(longer.append(std::span(bytes).first(1)).error().code, base::Code::corrupt);
  EXPECT_FALSE(store.has(blob.digest));
  EXPECT_EQ(store.stage({blob.digest, kMaxBlobBytes + 1}).error().code, base::Code::exhausted);
}

TEST(BlobStoreTest, a_file_written_in_any_order_is_checked_before_it_is_adopted) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto bytes = some_bytes(10'000, 9);
  const Blob blob = blob_of(bytes);
  const auto path = BlobStore::staging_path(blob.digest);
  ASSERT_TRUE(storage.write_at(path, 5000, std::span(bytes).subspan(5000)));
  EXPECT_EQ(store.adopt(blob).error().code, base::Code::corrupt) << "the first half is zeros";
  EXPECT_FALSE(storage.file_bytes(path)) << "what was refused is gone";
  ASSERT_TRUE(storage.write_at(path, 5000, std::span(bytes).subspan(5000)));
  ASSERT_TRUE(storage.write_at(path, 0, std::span(bytes).first(5000)));
  ASSERT_TRUE(store.adopt(blob));
  EXPECT_EQ(store.read(blob.digest, bytes.size()).value(), bytes);
  ASSERT_TRUE(storage.write(path, some_bytes(10'001, 9)));
  EXPECT_EQ(store.adopt(blob).error().code, base::Code::corrupt) << "one byte too many";
}

TEST(BlobStoreTest, a_bit_that_rots_is_found) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto digest = store.put(some_bytes(100, 1)).value();
  ASSERT_TRUE(storage.write_at(BlobStore::blob_path(digest), 50, some_bytes(1, 2)));
  EXPECT_EQ(store.verify(digest).error().code, base::Code::corrupt);
  ASSERT_TRUE(store.discard(digest));
  EXPECT_FALSE(store.has(digest));
}

TEST(BlobStoreTest, collect_keeps_the_living_and_what_is_being_fetched) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto live = store.put(some_bytes(100, 1)).value();
  const auto dead = store.put(some_bytes(200, 2)).value();
  const Blob coming = blob_of(some_bytes(300, 3));
  const Blob given_up = blob_of(some_bytes(400, 4));
  ASSERT_TRUE(store.stage(coming));
  ASSERT_TRUE(store.stage(given_up).value().append(some_bytes(40, 4)));
  const auto collected = store.collect({live}, {coming.digest}).value();
  EXPECT_EQ(collected.blobs, 1U);
  EXPECT_EQ(collected.staged, 1U);
  EXPECT_EQ(collected.freed_bytes, 240U);
  EXPECT_FALSE(store.has(dead));
  EXPECT_EQ(store.list().value(), std::vector{live});
  EXPECT_TRUE(storage.file_bytes(BlobStore::staging_path(coming.digest)));
}

TEST(BlobStoreTest, room_is_asked_before_the_first_byte) {
  base::FaultyStorage storage(1);
  storage.set_capacity(kReserveBytes + 1000);
  auto store = BlobStore::open(storage).value();
  EXPECT_TRUE(store.check_room(1000));
  const auto refused = store.check_room(1001);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::exhausted);
  storage.set_capacity(kReserveBytes - 1);
  EXPECT_FALSE(store.check_room(0));
}

TEST(BlobStoreTest, wears_the_medium_by_little_more_than_the_new_bytes) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  std::uint64_t new_bytes = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const auto bytes = some_bytes(50'000 + i * 1000, i);
    auto writer = store.stage(blob_of(bytes)).value();
    for (std::size_t at = 0; at < bytes.size(); at += 16'384) {
      ASSERT_TRUE(writer.append(std::span(bytes).subspan(at, std::min<std::size_t>(16'384, bytes.size() - at))));
      ASSERT_TRUE(writer.sync());
    }
    ASSERT_TRUE(writer.commit());
    new_bytes += bytes.size();
    ASSERT_TRUE(store.put(bytes)) << "present already";
  }
  EXPECT_LE(static_cast<double>(storage.written_bytes()), 1.15 * static_cast<double>(new_bytes));
}

TEST(BlobStoreTest, works_on_a_real_disk_and_over_a_restart) {
  const auto root = std::filesystem::path(testing::TempDir()) / ("blob_store_test." + std::to_string(::getpid()));
  std::filesystem::remove_all(root);
  auto disk = base::DiskStorage::open(root).value();
  const auto bytes = some_bytes(300'000, 5);
  {
    auto store = BlobStore::open(disk).value();
    ASSERT_TRUE(store.put(bytes));
  }
  auto store = BlobStore::open(disk).value();
  const auto digest = blob_of(bytes).digest;
  EXPECT_EQ(store.size_bytes(digest).value(), bytes.size());
  EXPECT_TRUE(store.verify(digest));
  std::filesystem::remove(root / BlobStore::blob_path(digest));
  std::filesystem::create_symlink("/etc/hostname", root / BlobStore::blob_path(digest));
  EXPECT_FALSE(store.has(digest)) << "a symbolic link is no blob";
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace wayside::ota
