// SPDX-License-Identifier: Apache-2.0
// MappedFile maps whole files and names what it cannot map.
#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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

/// How many KiB of mapped files are in this process's memory. From statm: qemu-user answers smaps itself, with zeros.
double resident_file_kib() {
  std::ifstream statm("/proc/self/statm");
  long size = 0;
  long resident = 0;
  long shared = 0;
  statm >> size >> resident >> shared;
  return static_cast<double>(shared * (sysconf(_SC_PAGESIZE) / 1024));
}

TEST(MappedFileTest, release_gives_memory_back_and_keeps_the_bytes) {
  constexpr double kTolerance = 512;  // KiB of the program's own files that may come and go between two looks
  std::string text(std::size_t{8} << 20, 'x');
  for (std::size_t i = 0; i < text.size(); i += 1000)
    text[i] = static_cast<char>('a' + static_cast<int>(i / 1000 % 26));
  const auto file = MappedFile::open(file_with(text));
  ASSERT_TRUE(file) << file.error().message;
  const auto same = [&] { return std::ranges::equal(file->bytes(), std::as_bytes(std::span(text))); };
  const double before = resident_file_kib();
  ASSERT_TRUE(same());
  const double mapped = resident_file_kib();
  ASSERT_NEAR(mapped - before, 8192, kTolerance);
  file->release(std::as_bytes(std::span(text)));  // not of this mapping
  EXPECT_NEAR(resident_file_kib(), mapped, kTolerance);
  file->release(file->bytes().subspan(5000, 6'000'000));
  EXPECT_NEAR(mapped - resident_file_kib(), 6e6 / 1024, kTolerance);
  EXPECT_TRUE(same());
}

}  // namespace
}  // namespace wayside::base
