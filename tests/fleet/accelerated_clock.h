// SPDX-License-Identifier: Apache-2.0
// AcceleratedClock: the real clock, some times faster; for tests of code that waits seconds between attempts.
#pragma once

#include "base/clock.h"

namespace wayside::fleet::test {

class AcceleratedClock final : public base::Clock {
 public:
  explicit AcceleratedClock(int factor) : factor_(factor), start_(real_.now()), wall_start_(real_.wall_now()) {}
  [[nodiscard]] base::MonotonicTime now() const override { return (real_.now() - start_) * factor_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override {
    return wall_start_ + std::chrono::duration_cast<std::chrono::system_clock::duration>(now());
  }
  void sleep_until(base::MonotonicTime deadline) override { real_.sleep_until(start_ + deadline / factor_); }

 private:
  base::Clock& real_ = base::Clock::real();
  int factor_;
  base::MonotonicTime start_;
  std::chrono::system_clock::time_point wall_start_;
};

}  // namespace wayside::fleet::test
