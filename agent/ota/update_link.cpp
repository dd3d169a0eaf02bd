// SPDX-License-Identifier: Apache-2.0
// Two queues.
#include "agent/ota/update_link.h"

#include <utility>

#include "base/log.h"

namespace wayside::agent {

std::optional<LinkEvent> UpdateLink::wait(base::MonotonicTime deadline) {
  std::unique_lock lock(mutex_);
  const std::chrono::steady_clock::time_point until{deadline};  // CLOCK_MONOTONIC, as base::Clock::real()
  arrived_.wait_until(lock, until, [this] { return woken_ || !events_.empty(); });
  woken_ = false;
  if (events_.empty()) return std::nullopt;
  LinkEvent event = std::move(events_.front());
  events_.pop_front();
  event_bytes_ -= event.message.payload.size();
  return event;
}

void UpdateLink::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  arrived_.notify_one();
}

void UpdateLink::wish(LinkWish wish) {
  {
    const std::lock_guard lock(mutex_);
    if (wish.kind == LinkWish::Kind::publish && wishes_.size() >= kMaxEvents) return;
    wishes_.push_back(std::move(wish));
  }
  if (notify_) notify_();
}

void UpdateLink::push(LinkEvent event) {
  {
    const std::lock_guard lock(mutex_);
    const auto beyond = [&](std::size_t times) {
      return events_.size() >= times * kMaxEvents ||
             event_bytes_ + event.message.payload.size() > times * kMaxEventBytes;
    };
    const bool certain = event.kind != LinkEvent::Kind::message;
    if (!certain && beyond(event.message.qos == 0 ? 1 : 2)) {
      if (++dropped_ == 1) base::log_warn("ota event=message_dropped topic={}", event.message.topic);
      return;
    }
    event_bytes_ += event.message.payload.size();
    events_.push_back(std::move(event));
  }
  arrived_.notify_one();
}

std::optional<LinkWish> UpdateLink::next_wish() {
  const std::lock_guard lock(mutex_);
  if (wishes_.empty()) return std::nullopt;
  LinkWish wish = std::move(wishes_.front());
  wishes_.pop_front();
  return wish;
}

}  // namespace wayside::agent
