// SPDX-License-Identifier: Apache-2.0
// Histogram: percentiles against sorted values, over seven orders of magnitude.
#include "agent/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace wayside::agent {
namespace {

using std::chrono::nanoseconds;

TEST(Histogram, EmptyGivesZeros) {
  Histogram histogram;
  const auto percentiles = histogram.take();
  EXPECT_EQ(percentiles.count, 0U);
  EXPECT_EQ(percentiles.p99_ms, 0);
}

TEST(Histogram, PercentilesAreWithinOneBucketOfTheTruth) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<double> spread(15.0, 1.0 + 0.1 * seed);  // around 3 ms
    Histogram histogram;
    std::vector<double> sorted;
    for (int index = 0; index < 1000; ++index) {
      const auto value_ns = std::clamp(spread(random), 2e3, 6e10);
      histogram.record(nanoseconds(static_cast<std::int64_t>(value_ns)));
      sorted.push_back(std::floor(value_ns) / 1e6);
    }
    std::ranges::sort(sorted);
    const auto percentiles = histogram.take();
    const auto check = [&](double got, double quantile) {
      const double truth = sorted[static_cast<std::size_t>(std::ceil(quantile * 1000)) - 1];
      EXPECT_GE(got, truth * 0.999) << "seed " << seed << " quantile " << quantile;
      EXPECT_LE(got, truth * 1.033) << "seed " << seed << " quantile " << quantile;
    };
    check(percentiles.p50_ms, 0.50);
    check(percentiles.p95_ms, 0.95);
    check(percentiles.p99_ms, 0.99);
    EXPECT_DOUBLE_EQ(percentiles.max_ms, sorted.back());
  }
}

TEST(Histogram, TakeStartsANewInterval) {
  Histogram histogram;
  histogram.record(std::chrono::milliseconds(100));
  EXPECT_EQ(histogram.take().count, 1U);
  histogram.record(std::chrono::milliseconds(1));
  const auto second = histogram.take();
  EXPECT_EQ(second.count, 1U);
  EXPECT_LT(second.p99_ms, 1.1);
}

TEST(Histogram, ExtremesLandInTheOuterBuckets) {
  Histogram histogram;
  histogram.record(nanoseconds(-5));
  histogram.record(nanoseconds(0));
  histogram.record(std::chrono::hours(10));
  const auto percentiles = histogram.take();
  EXPECT_EQ(percentiles.count, 3U);
  EXPECT_LT(percentiles.p50_ms, 0.002);
  EXPECT_GT(percentiles.p99_ms, 60'000);
}

}  // namespace
}  // namespace wayside::agent
