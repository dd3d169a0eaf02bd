// SPDX-License-Identifier: Apache-2.0
// ThreadPool: each index runs exactly once, in many short jobs, with and without sleeping workers between them.
#include "accel/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>

namespace wayside::accel::cpu {
namespace {

TEST(ThreadPool, RunsEachIndexOnce) {
  for (const unsigned thread_count : {1U, 2U, 3U}) {
    ThreadPool pool(thread_count);
    EXPECT_EQ(pool.thread_count(), thread_count);
    constexpr std::size_t kMaxCount = 37;
    for (std::size_t round = 0; round < 300; ++round) {
      const std::size_t count = round % (kMaxCount + 1);
      std::array<std::atomic<int>, kMaxCount> hits{};
      std::atomic<bool> thread_in_range = true;
      pool.for_each(count, [&](std::size_t index, unsigned thread) {
        ++hits[index];
        if (thread >= thread_count) thread_in_range = false;
      });
      for (std::size_t index = 0; index < kMaxCount; ++index) ASSERT_EQ(hits[index], index < count ? 1 : 0);
      ASSERT_TRUE(thread_in_range);
    }
  }
}

TEST(ThreadPool, BoundsTheThreadCount) {
  EXPECT_GE(ThreadPool(0).thread_count(), 1U);
  EXPECT_LE(ThreadPool(1000).thread_count(), ThreadPool::kMaxThreads);
}

}  // namespace
}  // namespace wayside::accel::cpu
