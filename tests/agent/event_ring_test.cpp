// SPDX-License-Identifier: Apache-2.0
// EventRing: order, refusal when full, two threads.
#include "agent/event_ring.h"

#include <gtest/gtest.h>

#include <thread>

namespace wayside::agent {
namespace {

TEST(EventRing, RefusesTheNewestWhenFull) {
  EventRing<int, 4> ring;
  for (int value = 0; value < 4; ++value) {
    *ring.begin_push() = value;
    ring.end_push();
  }
  EXPECT_EQ(ring.begin_push(), nullptr);
  EXPECT_EQ(ring.refused(), 1U);
  for (int value = 0; value < 4; ++value) {
    ASSERT_NE(ring.begin_pop(), nullptr);
    EXPECT_EQ(*ring.begin_pop(), value);
    ring.end_pop();
  }
  EXPECT_EQ(ring.begin_pop(), nullptr);
}

TEST(EventRing, KeepsOrderBetweenThreads) {
  constexpr int kCount = 20000;
  EventRing<int, 8> ring;
  std::thread producer([&ring] {
    for (int value = 0; value < kCount;) {
      if (int* slot = ring.begin_push()) {
        *slot = value++;
        ring.end_push();
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (int expected = 0; expected < kCount;) {
    if (const int* value = ring.begin_pop()) {
      ASSERT_EQ(*value, expected++);
      ring.end_pop();
    } else {
      std::this_thread::yield();
    }
  }
  producer.join();
}

}  // namespace
}  // namespace wayside::agent
