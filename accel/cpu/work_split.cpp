// SPDX-License-Identifier: Apache-2.0
// Estimates; they need to be right within a factor of two.
#include "accel/cpu/work_split.h"

namespace wayside::accel::cpu {
namespace {

/// Multiply-adds per nanosecond of one thread over whole networks: x86 as in docs/performance.md; Arm from the width of
/// the instructions at 2 GHz, not measured on boards.
double mac_rate(Level level) {
  switch (level) {
    case Level::reference: return 0.5;
    case Level::avx2: return 45;
    case Level::avx_vnni: return 90;
    case Level::avx512_vnni: return 150;
    case Level::amx: return 300;
    case Level::neon: return 8;
    case Level::neon_dot: return 30;
    case Level::neon_i8mm: return 50;
    default: return 90;  // newer 256-bit levels
  }
}

/// Bytes read and written per nanosecond by operators that only look at each byte once.
constexpr double kByteRate = 8;
/// Handing a job to threads that are awake, and waiting for the last: a few cache lines that change their core.
constexpr double kHandOverNs = 3'000;
/// Waking one sleeping thread (futex, then the scheduler).
constexpr double kWakeUpNs = 40'000;

/// One step on one thread.
double alone_ns(const StepWork& step, Level level) {
  return static_cast<double>(step.mac_count) / mac_rate(level) + static_cast<double>(step.moved_bytes) / kByteRate;
}

}  // namespace

std::vector<bool> worth_threads(std::span<const StepWork> steps, const WorkPlace& place) {
  std::vector<bool> worth(steps.size(), false);
  if (place.thread_count < 2) return worth;
  const double saved_part = 1 - 1.0 / place.thread_count;
  const double hand_over_ns = place.spin.count() > 0 ? kHandOverNs : kWakeUpNs;
  double saved_ns = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const double gain_ns = alone_ns(steps[i], place.level) * saved_part - hand_over_ns;
    worth[i] = gain_ns > 0;
    if (worth[i]) saved_ns += gain_ns;
  }
  if (saved_ns <= kWakeUpNs) worth.assign(steps.size(), false);
  return worth;
}

bool items_worth_threads(std::span<const StepWork> steps, const WorkPlace& place) {
  double item_ns = 0;
  for (const StepWork& step : steps) item_ns += alone_ns(step, place.level);
  return place.thread_count > 1 && item_ns > kWakeUpNs;
}

}  // namespace wayside::accel::cpu
