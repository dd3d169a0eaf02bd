// SPDX-License-Identifier: Apache-2.0
// Errors keep their code and gather context; the TRY macros pass them on; descriptors have one owner.
#include "base/result.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace wayside::base {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Code::invalid_argument, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  WAYSIDE_TRY(const int once, half(value));
  WAYSIDE_TRY(const int twice, half(once));
  return twice;
}

TEST(ResultTest, try_returns_the_value_or_the_first_error) {
  EXPECT_EQ(quarter(8).value(), 2);
  ASSERT_FALSE(quarter(6).has_value());
  EXPECT_EQ(quarter(6).error().code, Code::invalid_argument);
}

TEST(ResultTest, context_grows_on_the_way_up) {
  Error error{Code::corrupt, 0, "bad magic"};
  error.context("tensor 3").context("model x.tflite");
  EXPECT_EQ(error.message, "model x.tflite: tensor 3: bad magic");
}

TEST(ResultTest, errno_chooses_the_code) {
  EXPECT_EQ(fail_errno("/dev/video9", ENOENT).error().code, Code::not_found);
  EXPECT_EQ(fail_errno("/dev/video9", ENODEV).error().code, Code::disconnected);
  EXPECT_EQ(fail_errno("disk", EIO).error().code, Code::io);
  EXPECT_EQ(fail_errno("disk", EIO).error().sys_errno, EIO);
}

TEST(UniqueFdTest, closes_once_and_moves) {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int raw = first.get();
  ASSERT_GE(raw, 0);
  UniqueFd second(std::move(first));
  EXPECT_EQ(second.get(), raw);
  second.reset();
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1) << "the descriptor must be closed";
}

}  // namespace
}  // namespace wayside::base
