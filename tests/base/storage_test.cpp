// SPDX-License-Identifier: Apache-2.0
// The disk and its faulty twin agree while power is on; replace_file is atomic at every cut.
#include "base/storage.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

namespace wayside::base {
namespace {

constexpr std::size_t kMax = 1024;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::string text_of(Storage& storage, const std::string& path) {
  const auto read = storage.read(path, kMax);
  if (!read) return "<" + std::string(to_string(read.error().code)) + ">";
  return {reinterpret_cast<const char*>(read->data()), read->size()};
}

void exercise_positions(Storage& storage) {
  std::vector<std::byte> three(3);
  ASSERT_TRUE(storage.write_at("p", 4, bytes_of("xyz")));
  EXPECT_EQ(storage.file_bytes("p").value(), 7U);
  ASSERT_TRUE(storage.write_at("p", 0, bytes_of("abc")));
  EXPECT_EQ(text_of(storage, "p"), std::string("abc\0xyz", 7)) << "the gap reads as zero, nothing is cut";
  ASSERT_TRUE(storage.read_at("p", 4, three));
  EXPECT_EQ(three, bytes_of("xyz"));
  EXPECT_EQ(storage.read_at("p", 5, three).error().code, Code::end_of_stream);
  EXPECT_EQ(storage.read_at("none", 0, three).error().code, Code::not_found);
  EXPECT_EQ(storage.file_bytes("none").error().code, Code::not_found);
  EXPECT_GT(storage.free_bytes().value(), 0U);
}

void exercise(Storage& storage) {
  ASSERT_TRUE(storage.make_directory("d"));
  ASSERT_TRUE(storage.write("d/a", bytes_of("one")));
  ASSERT_TRUE(storage.append("d/a", bytes_of("two")));
  EXPECT_EQ(text_of(storage, "d/a"), "onetwo");
  ASSERT_TRUE(storage.sync_file("d/a"));
  ASSERT_TRUE(storage.rename("d/a", "d/b"));
  EXPECT_EQ(text_of(storage, "d/a"), "<not found>");
  ASSERT_TRUE(replace_file(storage, "d/b", bytes_of("new")));
  EXPECT_EQ(storage.list("d").value(), (std::vector<std::string>{"b"}));
  ASSERT_TRUE(storage.remove("d/b"));
  EXPECT_TRUE(storage.remove("d/b")) << "removing nothing is no error";
  EXPECT_EQ(storage.read("d/none", kMax).error().code, Code::not_found);
  ASSERT_TRUE(storage.write("big", std::vector<std::byte>(kMax + 1)));
  EXPECT_EQ(storage.read("big", kMax).error().code, Code::exhausted);
  exercise_positions(storage);
  ASSERT_TRUE(storage.write_at("w", 2, bytes_of("cd")));
  ASSERT_TRUE(storage.write_at("w", 0, bytes_of("ab")));
  ASSERT_TRUE(storage.write_at("w", 3, bytes_of("DE")));
  EXPECT_EQ(text_of(storage, "w"), "abcDE");
  std::array<std::byte, 3> part{};
  ASSERT_TRUE(storage.read_at("w", 2, part));
  EXPECT_EQ(part[2], std::byte{'E'});
  EXPECT_EQ(storage.read_at("w", 3, part).error().code, Code::end_of_stream);
  ASSERT_TRUE(storage.truncate("w", 1));
  EXPECT_EQ(storage.file_bytes("w").value(), 1U);
  EXPECT_EQ(storage.truncate("w", 2).error().code, Code::invalid_argument);
  EXPECT_EQ(storage.file_bytes("none").error().code, Code::not_found);
  EXPECT_EQ(storage.write("no/where", bytes_of("x")).error().code, Code::not_found);
  EXPECT_GT(storage.free_bytes().value(), 0U);
  EXPECT_EQ(storage.list("").value(), (std::vector<std::string>{"big", "d", "p", "w"}));
}

TEST(StorageTest, disk_and_twin_behave_alike) {
  const auto root = std::filesystem::path(testing::TempDir()) / "storage_test";
  std::filesystem::remove_all(root);
  auto disk = DiskStorage::open(root);
  ASSERT_TRUE(disk) << disk.error().message;
  exercise(*disk);
  FaultyStorage twin(1);
  exercise(twin);
}

TEST(StorageTest, paths_cannot_leave_the_root) {
  auto disk = DiskStorage::open(std::filesystem::path(testing::TempDir()) / "storage_root");
  ASSERT_TRUE(disk);
  EXPECT_EQ(disk->write("../x", {}).error().code, Code::invalid_argument);
  EXPECT_EQ(disk->read("/etc/passwd", kMax).error().code, Code::invalid_argument);
}

TEST(StorageTest, a_full_twin_refuses) {
  FaultyStorage twin(1);
  twin.set_capacity(8);
  ASSERT_TRUE(twin.write("a", bytes_of("12345")));
  EXPECT_EQ(twin.free_bytes().value(), 3U);
  EXPECT_EQ(twin.write_at("b", 0, bytes_of("1234")).error().sys_errno, ENOSPC);
}

TEST(StorageTest, unsynced_writes_can_be_lost_or_torn) {
  int lost = 0;
  int torn = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    FaultyStorage storage(seed * 7919);
    ASSERT_TRUE(storage.write("f", bytes_of("precious")));
    storage.power_cut();
    const std::string after = text_of(storage, "f");
    lost += after == "<not found>" || after.empty() ? 1 : 0;
    torn += after.size() == 8 && after != "precious" ? 1 : 0;
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(torn, 0);
}

TEST(StorageTest, replace_file_holds_old_or_new_at_every_cut) {
  int old_seen = 0;
  int new_seen = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    for (std::uint64_t cut = 0; cut < 5; ++cut) {
      FaultyStorage storage(seed);
      ASSERT_TRUE(replace_file(storage, "state", bytes_of("old")));
      storage.cut_at(storage.operation_count() + cut);
      const auto replaced = replace_file(storage, "state", bytes_of("new!"));
      storage.power_cut();
      const std::string after = text_of(storage, "state");
      ASSERT_TRUE(after == "old" || after == "new!") << "seed " << seed << " cut " << cut << ": " << after;
      if (replaced) {
        ASSERT_EQ(after, "new!") << "acknowledged, so it must survive";
      }
      (after == "old" ? old_seen : new_seen) += 1;
    }
  }
  EXPECT_GT(old_seen, 0);
  EXPECT_GT(new_seen, 0);
}

TEST(StorageTest, a_full_disk_is_reported_and_the_old_file_stays) {
  FaultyStorage storage(3);
  ASSERT_TRUE(replace_file(storage, "state", bytes_of("old")));
  storage.fail_once_at(storage.operation_count());
  const auto replaced = replace_file(storage, "state", bytes_of("newer"));
  ASSERT_FALSE(replaced);
  EXPECT_EQ(replaced.error().sys_errno, ENOSPC);
  EXPECT_EQ(text_of(storage, "state"), "old");
}

TEST(StorageTest, a_directory_that_was_not_synced_may_be_lost_with_all_in_it) {
  int lost = 0;
  int kept = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    FaultyStorage storage(seed * 104729);
    ASSERT_TRUE(storage.make_directory("d"));
    ASSERT_TRUE(replace_file(storage, "d/f", bytes_of("x")));
    storage.power_cut();
    (text_of(storage, "d/f") == "x" ? kept : lost) += 1;
  }
  EXPECT_GT(lost, 0);
  EXPECT_GT(kept, 0);
}

TEST(StorageTest, reordering_keeps_a_rename_whole) {
  int late_only = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    FaultyStorage storage(seed * 15485863);
    storage.reorder_directory_changes();
    ASSERT_TRUE(replace_file(storage, "old", bytes_of("o")));
    ASSERT_TRUE(replace_file(storage, "first", bytes_of("1")));
    ASSERT_TRUE(storage.remove("first"));
    ASSERT_TRUE(storage.rename("old", "new"));
    storage.power_cut();
    EXPECT_NE(text_of(storage, "old") == "o", text_of(storage, "new") == "o") << seed;
    late_only += text_of(storage, "new") == "o" && text_of(storage, "first") == "1" ? 1 : 0;
  }
  EXPECT_GT(late_only, 0) << "a later change may arrive without an earlier one";
}

TEST(StorageTest, capacity_ends_in_enospc_and_written_bytes_are_counted) {
  FaultyStorage storage(1);
  storage.set_capacity(10);
  ASSERT_TRUE(storage.write("a", bytes_of("12345678")));
  EXPECT_EQ(storage.free_bytes().value(), 2U);
  const auto refused = storage.append("a", bytes_of("abcd"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, ENOSPC);
  EXPECT_EQ(storage.written_bytes(), 10U) << "half of it was written";
}

}  // namespace
}  // namespace wayside::base
