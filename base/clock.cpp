// SPDX-License-Identifier: Apache-2.0
// The real clock over CLOCK_MONOTONIC, and the manual one.
#include "base/clock.h"

#include <format>
#include <thread>

namespace wayside::base {
namespace {

class RealClock final : public Clock {
 public:
  MonotonicTime now() const override { return std::chrono::steady_clock::now().time_since_epoch(); }
  std::chrono::system_clock::time_point wall_now() const override { return std::chrono::system_clock::now(); }
  void sleep_until(MonotonicTime deadline) override {
    std::this_thread::sleep_until(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(deadline)));
  }
};

}  // namespace

Clock& Clock::real() {
  static RealClock clock;
  return clock;
}

MonotonicTime ManualClock::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::chrono::system_clock::time_point ManualClock::wall_now() const {
  return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(now()));
}

void ManualClock::sleep_until(MonotonicTime deadline) {
  const std::lock_guard lock(mutex_);
  if (deadline > now_) now_ = deadline;
}

void ManualClock::advance(std::chrono::nanoseconds by) {
  const std::lock_guard lock(mutex_);
  now_ += by;
}

std::string rfc3339(std::chrono::system_clock::time_point when) {
  return std::format("{:%FT%T}Z", std::chrono::floor<std::chrono::milliseconds>(when));
}

}  // namespace wayside::base
