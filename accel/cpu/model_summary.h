// SPDX-License-Identifier: Apache-2.0
// ModelSummary: the table of a model's operators with sizes and, after profiled runs, times; for `check` and `bench`.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "accel/cpu/cpu_session.h"

namespace wayside::accel::cpu {

/// Collects times per operator. Use: session.set_profiler(&profile), run a few times, print summarize().
class OperatorProfile final : public OperatorProfiler {
 public:
  explicit OperatorProfile(const CpuSession& session) : total_(session.operators().size()), runs_(total_.size(), 0) {}
  void on_operator(std::size_t number, std::chrono::nanoseconds elapsed) override {
    total_[number] += elapsed;
    ++runs_[number];
  }
  /// Mean time of one run of an operator; 0 before its first.
  [[nodiscard]] std::chrono::nanoseconds mean(std::size_t number) const {
    return runs_[number] == 0 ? std::chrono::nanoseconds{0} : total_[number] / runs_[number];
  }

 private:
  std::vector<std::chrono::nanoseconds> total_;
  std::vector<long> runs_;
};

/// One line per operator: index, name, input and output shape, thousands of multiply-accumulates, weight bytes, and
/// with a profile microseconds and 10^9 multiply-accumulates per second; then a line of totals. For people; columns
/// aligned.
[[nodiscard]] std::string summarize(const CpuSession& session, const OperatorProfile* profile = nullptr);

}  // namespace wayside::accel::cpu
