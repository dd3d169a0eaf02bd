// SPDX-License-Identifier: Apache-2.0
// Budgets as they are written, and how they are judged.
#include "optimizer/report/budget.h"

#include <gtest/gtest.h>

namespace wayside::optimizer {
namespace {

TEST(Budget, ReadsLimitsInAnyOrderAndUnit) {
  const auto budget = parse_budget("latency<20ms,size<2MB,drop<1%");
  ASSERT_TRUE(budget) << budget.error().message;
  EXPECT_EQ(budget->latency_ms, 20);
  EXPECT_EQ(budget->size_bytes, 2e6);
  EXPECT_EQ(budget->drop_points, 1);
  EXPECT_DOUBLE_EQ(*parse_budget("size<500kB,latency<1500us")->latency_ms, 1.5);
  EXPECT_FALSE(parse_budget("drop<0.5%")->size_bytes);
  EXPECT_TRUE(parse_budget(""));
}

TEST(Budget, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"latency", "latency<", "latency<20", "latency<-1ms", "latency<0ms", "size<2ms", "drop<1",
                           "drop<nan%", "power<2W", "size<1MB,size<2MB", "<1%", ",", "drop<1%x", "latency>20ms"}) {
    const auto budget = parse_budget(text);
    ASSERT_FALSE(budget) << text;
    EXPECT_NE(budget.error().message.find("latency<20ms"), std::string::npos) << budget.error().message;
  }
}

TEST(Budget, NamesEachLimitThatIsMissed) {
  const Figures figures{.latency_ms = 20, .size_bytes = 1e6, .drop_points = 0.3};
  EXPECT_TRUE(misses({}, figures).empty());
  EXPECT_TRUE(misses({.latency_ms = 20.1, .size_bytes = 1e6 + 1, .drop_points = 0.31}, figures).empty());
  const auto all = misses({.latency_ms = 20, .size_bytes = 1e6, .drop_points = 0.3}, figures);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[2], "drop 0.30 points, not below 0.30");
  EXPECT_TRUE(misses({.drop_points = 0.1}, {.drop_points = -1}).empty()) << "better than float";
}

}  // namespace
}  // namespace wayside::optimizer
