// SPDX-License-Identifier: Apache-2.0
// The two queues between reporter and updater: nothing is lost or reordered between threads, and both are bounded.
#include "agent/ota/update_link.h"

#include <gtest/gtest.h>

#include <thread>

namespace wayside::agent {
namespace {

using Kind = LinkEvent::Kind;

LinkEvent message(std::string payload, int qos = 1) {
  LinkEvent event{.kind = Kind::message, .max_in_flight = 0, .message = {}};
  event.message.payload = std::move(payload);
  event.message.qos = qos;
  return event;
}

TEST(UpdateLink, EventsAndWishesKeepTheirOrderBetweenThreads) {
  constexpr int kCount = 20'000;
  UpdateLink link;
  std::thread reporter([&] {
    int heard = 0, told = 0;
    while (heard < kCount || told < kCount) {
      // A window, as the broker's: what is beyond the bounds would be dropped.
      if (told < kCount && told - heard < 100) link.push(message(std::to_string(told++)));
      while (const auto wish = link.next_wish()) EXPECT_EQ(wish->message.payload, std::to_string(heard++));
    }
  });
  for (int i = 0; i < kCount;) {
    const auto event = link.wait(base::Clock::real().now() + std::chrono::seconds(60));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->message.payload, std::to_string(i));
    LinkWish wish{.kind = LinkWish::Kind::retain};
    wish.message.payload = std::to_string(i++);
    link.wish(std::move(wish));
  }
  reporter.join();
}

TEST(UpdateLink, AWakeEndsAWait) {
  UpdateLink link;
  std::thread other([&] { link.wake(); });
  EXPECT_FALSE(link.wait(base::MonotonicTime::max() / 2));
  other.join();
}

TEST(UpdateLink, BeyondItsBoundsChunksGoFirstThenAllButTheConnection) {
  UpdateLink link;
  const std::string large(1U << 20U, 'x');
  for (int i = 0; i < 20; ++i) link.push(message(large, 0));
  for (int i = 0; i < 20; ++i) link.push(message(large));
  link.push({.kind = Kind::lost, .max_in_flight = 0, .message = {}});
  std::size_t chunks = 0, others = 0, ends = 0;
  while (const auto event = link.wait(base::MonotonicTime(0))) {
    if (event->kind == Kind::lost)
      ++ends;
    else
      ++(event->message.qos == 0 ? chunks : others);
  }
  EXPECT_EQ(chunks, UpdateLink::kMaxEventBytes >> 20U);
  EXPECT_EQ(others, UpdateLink::kMaxEventBytes >> 20U);
  EXPECT_EQ(ends, 1U);
}

}  // namespace
}  // namespace wayside::agent
