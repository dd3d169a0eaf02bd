// SPDX-License-Identifier: Apache-2.0
// The manual clock moves only when told; RFC 3339 has milliseconds.
#include "base/clock.h"

#include <gtest/gtest.h>

namespace wayside::base {
namespace {

using namespace std::chrono_literals;

TEST(ManualClockTest, sleeping_advances_it) {
  ManualClock clock;
  clock.advance(5ms);
  EXPECT_EQ(clock.now(), 5ms);
  clock.sleep_until(9ms);
  EXPECT_EQ(clock.now(), 9ms);
  clock.sleep_until(2ms);
  EXPECT_EQ(clock.now(), 9ms) << "time never goes back";
}

TEST(ClockTest, rfc3339_is_utc_with_milliseconds) {
  EXPECT_EQ(rfc3339(std::chrono::system_clock::time_point(1788304204125ms)), "2026-09-01T23:10:04.125Z");
}

TEST(ClockTest, the_real_clock_is_monotonic) {
  const auto before = Clock::real().now();
  EXPECT_GE(Clock::real().now(), before);
}

}  // namespace
}  // namespace wayside::base
