// SPDX-License-Identifier: Apache-2.0
// Counters never repeat a number, wherever the power is cut.
#include "agent/persistent_counter.h"

#include <gtest/gtest.h>

#include <set>
#include <span>
#include <string_view>

namespace wayside::agent {
namespace {

TEST(PersistentCounter, CountsFromOneAndGoesOnAfterARestart) {
  base::FaultyStorage storage(1);
  auto first = PersistentCounter::open(storage, "epoch", 10);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first->next(), 1U);
  EXPECT_EQ(*first->next(), 2U);
  auto second = PersistentCounter::open(storage, "epoch", 10);
  ASSERT_TRUE(second);
  EXPECT_EQ(*second->next(), 11U);
}

TEST(PersistentCounter, WritesOncePerBlock) {
  base::FaultyStorage storage(1);
  auto counter = PersistentCounter::open(storage, "n", 100);
  ASSERT_TRUE(counter);
  ASSERT_TRUE(counter->next());
  const auto after_first = storage.operation_count();
  for (int index = 0; index < 99; ++index) ASSERT_TRUE(counter->next());
  EXPECT_EQ(storage.operation_count(), after_first);
}

TEST(PersistentCounter, NeverRepeatsOverPowerCutsAtEveryOperation) {
  for (std::uint64_t cut = 0; cut < 40; ++cut) {
    base::FaultyStorage storage(cut + 1);
    std::set<std::uint64_t> seen;
    storage.cut_at(cut);
    for (int run = 0; run < 6; ++run) {
      auto counter = PersistentCounter::open(storage, "n", 3);
      for (int index = 0; counter && index < 5; ++index) {
        const auto number = counter->next();
        if (!number) break;
        EXPECT_TRUE(seen.insert(*number).second) << "repeated " << *number << ", cut at " << cut;
      }
      storage.power_cut();
      storage.cut_at(~std::uint64_t{0});
    }
    EXPECT_GE(seen.size(), 20U);
  }
}

TEST(PersistentCounter, DamageIsAnErrorNotAFreshStart) {
  base::FaultyStorage storage(1);
  for (const std::string_view text : {"", "x\n", "12", "12x\n"}) {
    ASSERT_TRUE(storage.write("n", std::as_bytes(std::span(text))));
    const auto counter = PersistentCounter::open(storage, "n", 10);
    ASSERT_FALSE(counter) << text;
    EXPECT_EQ(counter.error().code, base::Code::corrupt);
  }
}

}  // namespace
}  // namespace wayside::agent
