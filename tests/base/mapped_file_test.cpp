// SPDX-License-Identifier: Apache-2.0
// MappedFile maps whole files and names what it cannot map.
#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <span>
#include <string>

namespace wayside::base {
namespace {

std::filesystem::path file_with(const std::string& text) {
  const auto path = std::filesystem::path(testing::TempDir()) /
                    (std::string("mapped_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  return path;
}

TEST(MappedFileTest, gives_the_bytes_and_survives_a_move) {
  auto opened = MappedFile::open(file_with("hello"));
  ASSERT_TRUE(opened) << opened.error().message;
  MappedFile moved = std::move(*opened);
  ASSERT_EQ(moved.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[1]), 'e');
}

TEST(MappedFileTest, errors_name_the_file) {
  const auto missing = MappedFile::open("/nonexistent/model.tflite");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_NE(missing.error().message.find("/nonexistent/model.tflite"), std::string::npos);
  EXPECT_EQ(MappedFile::open(file_with("")).error().code, Code::corrupt);
  EXPECT_EQ(MappedFile::open(testing::TempDir()).error().code, Code::invalid_argument);
}

/// How many KiB of the mapping that starts at `data` are in this process's memory.
long resident_kib(const std::byte* data) {
  std::ifstream maps("/proc/self/smaps");
  const std::string start = std::format("{:x}-", reinterpret_cast<std::uintptr_t>(data));
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    here = here || line.starts_with(start);
    if (here && line.starts_with("Rss:")) return std::stol(line.substr(4));
  }
  return -1;
}

TEST(MappedFileTest, release_gives_memory_back_and_keeps_the_bytes) {
  std::string text(std::size_t{1} << 20, 'x');
  for (std::size_t i = 0; i < text.size(); i += 1000) text[i] = static_cast<char>('a' + (i / 1000 % 26));
  const auto file = MappedFile::open(file_with(text));
  ASSERT_TRUE(file) << file.error().message;
  const auto same = [&] { return std::ranges::equal(file->bytes(), std::as_bytes(std::span(text))); };
  ASSERT_TRUE(same());
  ASSERT_EQ(resident_kib(file->bytes().data()), 1024);
  file->release(std::as_bytes(std::span(text)));  // not of this mapping
  EXPECT_EQ(resident_kib(file->bytes().data()), 1024);
  file->release(file->bytes().subspan(5000, 600'000));
  EXPECT_LT(resident_kib(file->bytes().data()), 1024 - (600'000 / 1024));
  EXPECT_TRUE(same());
}

}  // namespace
}  // namespace wayside::base
