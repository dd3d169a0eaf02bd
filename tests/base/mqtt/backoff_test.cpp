// SPDX-License-Identifier: Apache-2.0
// Back-off: bounds, growth, spread, and when it starts anew.
#include "base/mqtt/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

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

TEST(Backoff, AFleetsSpreadHoldsFromTheFirstAttempt) {
  // 10 000 devices lose their broker at one moment and find it gone for 20 s more: how many try in any one second?
  constexpr int kDevices = 10'000, kSeconds = 90;
  std::vector<int> attempts(kSeconds + 200);
  for (std::uint64_t seed = 1; seed <= kDevices; ++seed) {
    Backoff backoff(seed * 2'654'435'761U, seconds(58));
    auto at = backoff.next();
    for (++attempts[at.count() / 1000]; at < seconds(20); ++attempts[at.count() / 1000]) at += backoff.next();
  }
  EXPECT_LE(*std::ranges::max_element(attempts), 500);
  int late = 0;
  for (std::size_t second = 80; second < attempts.size(); ++second) late += attempts[second];
  EXPECT_LE(late, kDevices / 100) << "99 % are back a minute after the broker";
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
