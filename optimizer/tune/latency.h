// SPDX-License-Identifier: Apache-2.0
// How long a network takes on the CPU engine of this machine: written as INT8 .tflite, loaded, run.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

struct LatencyOptions {
  std::size_t warmup_runs = 3, runs = 25;
  unsigned thread_count = 1;
};

struct Latency {
  std::chrono::nanoseconds median{}, p99{};  ///< of one run
  std::size_t file_bytes = 0, arena_bytes = 0;
};

/// The time depends on shapes, not on values: ranges are made up, so that a network without calibration can be
/// measured. Errors: those of passes::to_tflite_forms, write_tflite and of the engine's loader.
[[nodiscard]] base::Result<Latency> measure_on_cpu(const ir::Graph& graph, const LatencyOptions& options);

}  // namespace wayside::optimizer
