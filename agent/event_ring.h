// SPDX-License-Identifier: Apache-2.0
// EventRing: a fixed ring of records from the vision thread to the reporting thread, without locks or allocation.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace wayside::agent {

/// One producer, one consumer. When the consumer is late the newest record is refused and counted: the vision thread
/// never waits. T is a plain record, reused in place.
template <class T, std::size_t kCapacity>
class EventRing {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two, so that the counters may wrap");

 public:
  EventRing() : slots_(std::make_unique<std::array<T, kCapacity>>()) {}

  /// Producer: true while begin_push() would refuse.
  [[nodiscard]] bool full() const {
    return written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire) == kCapacity;
  }

  /// Producer: the slot to fill, or nullptr (counted) when all are waiting for the consumer.
  T* begin_push() {
    if (full()) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    return &(*slots_)[written_.load(std::memory_order_relaxed) % kCapacity];
  }
  void end_push() { written_.fetch_add(1, std::memory_order_release); }

  /// Consumer: the oldest record, or nullptr; stays valid until end_pop().
  const T* begin_pop() const {
    if (read_.load(std::memory_order_relaxed) == written_.load(std::memory_order_acquire)) return nullptr;
    return &(*slots_)[read_.load(std::memory_order_relaxed) % kCapacity];
  }
  void end_pop() { read_.fetch_add(1, std::memory_order_release); }

  [[nodiscard]] std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  std::unique_ptr<std::array<T, kCapacity>> slots_;
  std::atomic<std::size_t> written_{0};
  std::atomic<std::size_t> read_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace wayside::agent
