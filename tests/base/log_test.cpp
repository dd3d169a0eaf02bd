// SPDX-License-Identifier: Apache-2.0
// Log lines go to stderr with time and level; input cannot forge a second line.
#include "base/log.h"

#include <gtest/gtest.h>

namespace wayside::base {
namespace {

TEST(LogTest, control_characters_are_escaped) {
  testing::internal::CaptureStderr();
  log_info("device={} note={}", "gate", "a\nlevel=error forged");
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_NE(out.find("level=info device=gate note=a\\x0alevel=error forged"), std::string::npos) << out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST(LogTest, levels_filter) {
  init_logging(LogLevel::warn);
  testing::internal::CaptureStderr();
  log_info("hidden");
  log_warn("shown");
  const std::string out = testing::internal::GetCapturedStderr();
  init_logging(LogLevel::info);
  EXPECT_EQ(out.find("hidden"), std::string::npos);
  EXPECT_NE(out.find("shown"), std::string::npos);
}

TEST(LogTest, level_names) {
  LogLevel level = LogLevel::error;
  EXPECT_TRUE(parse_log_level("debug", level));
  EXPECT_EQ(level, LogLevel::debug);
  EXPECT_FALSE(parse_log_level("loud", level));
  EXPECT_EQ(level, LogLevel::debug);
}

}  // namespace
}  // namespace wayside::base
