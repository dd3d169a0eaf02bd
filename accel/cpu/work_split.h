// SPDX-License-Identifier: Apache-2.0
// Which operators of a model are worth more than one thread: small ones are done before a second thread has woken up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

/// What one operator has to do.
struct StepWork {
  std::uint64_t mac_count = 0;
  std::size_t moved_bytes = 0;  ///< of its inputs and outputs
};

struct WorkPlace {
  Level level = Level::reference;
  unsigned thread_count = 1;
  std::chrono::microseconds spin{0};  ///< 0: every piece of work has to wake the threads
};

/// For each step: run it on all threads? Estimates the time on one thread from the level's usual rates; a step is split
/// where that saves more than handing it over costs, and nothing is split where the whole model saves less than waking
/// the threads costs. Pure: the same on every machine of a level.
[[nodiscard]] std::vector<bool> worth_threads(std::span<const StepWork> steps, const WorkPlace& place);

/// Is it better to give each thread whole items of a batch (all steps, one after the other) than to run them all on
/// one?
[[nodiscard]] bool items_worth_threads(std::span<const StepWork> steps, const WorkPlace& place);

}  // namespace wayside::accel::cpu
