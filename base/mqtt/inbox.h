// SPDX-License-Identifier: Apache-2.0
// Inbox: the bounded queue from the MQTT library's threads to the owner of a Client.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "base/mqtt/client.h"

namespace wayside::base::mqtt {

/// Thread-safe. Nobody may call into the MQTT library while holding its mutex: the library calls push() under its own.
class Inbox {
 public:
  /// Messages beyond this are dropped and counted; other events are bounded by the in-flight window.
  static constexpr std::size_t kMaxMessages = 4096;

  void push(Event event) {
    {
      const std::lock_guard lock(mutex_);
      if (event.kind == Event::Kind::message) {
        if (messages_ >= kMaxMessages) {
          ++overflows_;
          return;
        }
        ++messages_;
      }
      events_.push_back(std::move(event));
    }
    arrived_.notify_one();
  }

  void wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    arrived_.notify_one();
  }

  /// Takes and clears a pending wake().
  bool take_wake() {
    const std::lock_guard lock(mutex_);
    return std::exchange(woken_, false);
  }

  std::optional<Event> pop() {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    if (event.kind == Event::Kind::message) --messages_;
    return event;
  }

  /// Waits for an event or a wake, at most `limit`.
  void wait(std::chrono::nanoseconds limit) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, limit, [this] { return woken_ || !events_.empty(); });
  }

  [[nodiscard]] std::uint64_t overflows() const {
    const std::lock_guard lock(mutex_);
    return overflows_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Event> events_;
  std::size_t messages_ = 0;
  std::uint64_t overflows_ = 0;
  bool woken_ = false;
};

}  // namespace wayside::base::mqtt
