// SPDX-License-Identifier: Apache-2.0
// The clock seam: whoever waits or measures takes a Clock&, so that tests need no sleeping.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace wayside::base {

/// Time since an arbitrary start, never going back (CLOCK_MONOTONIC: the clock of V4L2 buffer timestamps).
using MonotonicTime = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonotonicTime now() const = 0;
  /// Wall clock; may jump and may be wrong on boards without a battery-backed clock: use for display only.
  [[nodiscard]] virtual std::chrono::system_clock::time_point wall_now() const = 0;
  /// Blocks until `deadline` on the monotonic clock; returns at once if it has passed.
  virtual void sleep_until(MonotonicTime deadline) = 0;
  /// The process-wide real clock.
  static Clock& real();
};

/// A clock that stands still until told otherwise; sleeping advances it. Thread-safe.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override;
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override;
  void sleep_until(MonotonicTime deadline) override;
  void advance(std::chrono::nanoseconds by);

 private:
  mutable std::mutex mutex_;
  MonotonicTime now_{0};
};

/// RFC 3339 in UTC with milliseconds, e.g. "2026-09-01T23:10:04.125Z".
[[nodiscard]] std::string rfc3339(std::chrono::system_clock::time_point when);

}  // namespace wayside::base
