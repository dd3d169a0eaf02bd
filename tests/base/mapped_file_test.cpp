// SPDX-License-Identifier: Apache-2.0
// MappedFile maps whole files and names what it cannot map.
#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <fstream>

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

}  // namespace
}  // namespace wayside::base
