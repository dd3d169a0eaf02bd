// SPDX-License-Identifier: Apache-2.0
// UpdateLink: how the updater's thread uses the reporter's MQTT connection: events one way, wishes the other, both
// bounded.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "agent/payloads.h"
#include "base/clock.h"
#include "base/mqtt/client.h"

namespace wayside::agent {

/// What the updater wants done with the connection, in order.
struct LinkWish {
  enum class Kind : std::uint8_t {
    publish,      ///< `message`, once; what cannot be sent now is lost
    retain,       ///< `message`, kept and sent again until the broker has it
    subscribe,    ///< `filter`, `qos`; retained messages come again if it was subscribed before
    unsubscribe,  ///< `filter`
    model         ///< detections with this `model_index` are of `model`, which is also told as the one that runs
  };
  Kind kind{};
  base::mqtt::Message message{};
  std::string filter{};
  int qos = 0;
  std::uint16_t model_index = 0;
  ModelFacts model{};
};

struct LinkEvent {
  enum class Kind : std::uint8_t { connected, lost, message };
  Kind kind{};
  std::uint32_t max_in_flight = 0;  ///< connected
  base::mqtt::Message message{};
};

/// All calls are thread-safe and short.
class UpdateLink {
 public:
  /// Bounds of what waits for the updater, which may be busy with an inference: beyond them messages without delivery
  /// promise (QoS 0: chunks, which are asked for again) are dropped first, beyond twice as much all of them.
  static constexpr std::size_t kMaxEvents = 256;
  static constexpr std::size_t kMaxEventBytes = std::size_t{4} << 20U;

  // The updater's side.
  /// The next event; waits for one until `deadline` on the real monotonic clock, or until wake().
  std::optional<LinkEvent> wait(base::MonotonicTime deadline);
  void wake();
  void wish(LinkWish wish);
  /// Called (in the updater's thread) after each wish: the reporter must not sleep on it.
  void on_wish(std::function<void()> notify) { notify_ = std::move(notify); }

  // The reporter's side.
  void push(LinkEvent event);
  std::optional<LinkWish> next_wish();

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<LinkEvent> events_;
  std::size_t event_bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool woken_ = false;
  std::deque<LinkWish> wishes_;
  std::function<void()> notify_;
};

}  // namespace wayside::agent
