// SPDX-License-Identifier: Apache-2.0
// ThreadPool: each index runs exactly once, in many short jobs, with and without sleeping workers between them.
#include "accel/cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

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

TEST(ThreadPool, SleepsBetweenJobsInTheModeThatSavesPower) {
  ThreadPool pool({.thread_count = 2, .spin = std::chrono::microseconds(0)});
  EXPECT_EQ(pool.spin().count(), 0);
  std::atomic<std::size_t> sum = 0;
  for (std::size_t round = 0; round < 200; ++round)
    pool.for_each(5, [&](std::size_t index, unsigned) { sum += index; });
  EXPECT_EQ(sum, 200U * 10);
}

TEST(ThreadPool, DoesNotSpinWithMoreThreadsThanCores) {
  EXPECT_EQ(ThreadPool({.thread_count = 3, .cores = {0, 1}}).spin().count(), 0);
  EXPECT_EQ(ThreadPool({.thread_count = 0, .cores = {0, 1}}).thread_count(), 2U);
}

TEST(ThreadPool, EachThreadDoesItsOwnShareFirst) {
  constexpr unsigned kThreads = 3;
  ThreadPool pool(kThreads);
  for (int round = 0; round < 100; ++round) {
    std::atomic<unsigned> arrived = 0;
    std::array<unsigned, kThreads> done_by{};
    pool.for_each(kThreads, [&](std::size_t index, unsigned thread) {
      done_by[index] = thread;
      ++arrived;
      while (arrived < kThreads) ::sched_yield();  // nobody has time for a second one
    });
    for (unsigned index = 0; index < kThreads; ++index) ASSERT_EQ(done_by[index], index);
  }
}

TEST(ThreadPool, AWorkerLeavesTheCallersCore) {
  cpu_set_t all, home;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  ThreadPool pool(2);
  CPU_ZERO(&home);
  CPU_SET(::sched_getcpu(), &home);
  ASSERT_EQ(::sched_setaffinity(0, sizeof home, &home), 0);
  std::atomic<int> jobs = 0, jobs_elsewhere = 0;
  for (int round = 0; round < 100'000 && jobs_elsewhere == 0; ++round) {
    pool.for_each(2, [&](std::size_t, unsigned thread) {
      if (thread == 0) {
        ::sched_yield();
      } else if (++jobs == 1) {  // brought here, and free to go
        ::sched_setaffinity(0, sizeof home, &home);
        ::sched_setaffinity(0, sizeof all, &all);
      } else if (!CPU_ISSET(::sched_getcpu(), &home)) {
        ++jobs_elsewhere;
      }
    });
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof all, &all), 0);
  EXPECT_GT(jobs_elsewhere, 0);
}

TEST(ThreadPool, RunsOnlyOnTheGivenCores) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  unsigned core = 0;
  while (!CPU_ISSET(core, &before)) ++core;
  {
    ThreadPool pool({.thread_count = 2, .cores = {core, 1023}});
    const ThreadPool::Turn turn(pool, 0);
    std::atomic<int> elsewhere = 0;
    for (int round = 0; round < 50; ++round) {
      pool.for_each(8, [&](std::size_t, unsigned) {
        if (::sched_getcpu() != static_cast<int>(core)) ++elsewhere;
      });
    }
    EXPECT_EQ(elsewhere, 0);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(ThreadPoolTurn, OneAtATimeHoweverManyCallers) {
  ThreadPool pool(2);
  std::atomic<int> inside = 0, most = 0;
  std::atomic<std::size_t> sum = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 100; ++round) {
        ThreadPool::Turn turn(pool, caller % 2);
        most = std::max<int>(most, ++inside);
        pool.for_each(4, [&](std::size_t index, unsigned) { sum += index; });
        --inside;  // offer() gives the turn away
        turn.offer();
        most = std::max<int>(most, ++inside);
        pool.for_each(4, [&](std::size_t index, unsigned) { sum += index; });
        --inside;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(sum, 4U * 100 * 2 * 6);
}

TEST(ThreadPoolTurn, OnlyAHigherPriorityInterrupts) {
  ThreadPool pool(1);
  std::atomic<bool> equal_ran = false, higher_ran = false;
  std::thread equal, higher;
  {
    ThreadPool::Turn turn(pool, 5);
    equal = std::thread([&] {
      const ThreadPool::Turn mine(pool, 5);
      equal_ran = true;
    });
    higher = std::thread([&] {
      const ThreadPool::Turn mine(pool, 6);
      higher_ran = true;
    });
    while (!higher_ran) {
      turn.offer();
      std::this_thread::yield();
    }
    EXPECT_FALSE(equal_ran);
  }
  equal.join();
  higher.join();
  EXPECT_TRUE(equal_ran);
}

TEST(ThreadPool, BoundsTheThreadCount) {
  EXPECT_GE(ThreadPool(0).thread_count(), 1U);
  EXPECT_LE(ThreadPool(1000).thread_count(), ThreadPool::kMaxThreads);
}

}  // namespace
}  // namespace wayside::accel::cpu
