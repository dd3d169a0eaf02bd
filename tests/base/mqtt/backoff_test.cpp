// SPDX-License-Identifier: Apache-2.0
// Back-off: bounds, growth, spread, and when it starts anew.
#include "base/mqtt/backoff.h"

#include <gtest/gtest.h>

#include <set>

namespace wayside::base::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Backoff, StaysBetweenFloorAndAGrowingCeiling) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Backoff backoff(seed);
    milliseconds ceiling = seconds(1);
    for (int attempt = 1; attempt <= 12; ++attempt) {
      ceiling = std::min<milliseconds>(ceiling * 2, Backoff::kCeiling);
      const auto wait = backoff.next();
      EXPECT_GE(wait, Backoff::kFloor) << "seed " << seed;
      EXPECT_LE(wait, ceiling) << "seed " << seed << " attempt " << attempt;
    }
  }
}

TEST(Backoff, SpreadsAFleet) {
  std::set<milliseconds::rep> waits;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Backoff backoff(seed * 7919);
    for (int attempt = 0; attempt < 5; ++attempt) (void)backoff.next();
    waits.insert(backoff.next().count() / 1000);
  }
  EXPECT_GT(waits.size(), 30U);  // of 60 whole seconds
}

TEST(Backoff, OnlyAHealthyConnectionStartsItAnew) {
  Backoff backoff(1);
  for (int attempt = 0; attempt < 10; ++attempt) (void)backoff.next();
  backoff.connection_lived(seconds(2));
  milliseconds longest{0};
  for (int attempt = 0; attempt < 20; ++attempt) longest = std::max(longest, backoff.next());
  EXPECT_GT(longest, seconds(4));
  backoff.connection_lived(Backoff::kHealthyAfter);
  EXPECT_LE(backoff.next(), seconds(2));
}

}  // namespace
}  // namespace wayside::base::mqtt
