// SPDX-License-Identifier: Apache-2.0
// The self-test gate: golden set and signed limits through a real session on the real accelerator.
#pragma once

#include <filesystem>

#include "accel/accelerator.h"
#include "base/clock.h"
#include "ota/updater/gates.h"
#include "ota/updater/golden.h"

namespace wayside::agent {

struct SessionGateOptions {
  std::filesystem::path store_root;  ///< folder of the BlobStore's Storage: the accelerator maps the file itself
  unsigned thread_count = 1;
  /// Runs that are timed besides the golden ones; the first is not counted (caches, pages).
  unsigned bench_runs = 50;
  /// Other work on the board makes single runs slow; a model passes with the first round that is within its limits.
  unsigned bench_rounds = 3;
};

/// What the gate saw, for the report to the operator.
struct SessionGateReport {
  ota::Step verdict;
  ota::Measured measured;
};

/// Loads the variant's file, compares its answers to the golden set with the signed tolerances, times it, and holds
/// p50, p99 and memory against the signed limits. model_failed: the model does not load, answers wrong or misses a
/// limit; failed: the medium gave no golden set. Outputs of a model with several follow each other in the golden file,
/// as do inputs; all outputs must have one type (int8, uint8 or float32). Blocks for golden.count + bench_runs
/// inferences.
[[nodiscard]] SessionGateReport test_model(accel::Accelerator& accelerator, const ota::BlobStore& store,
                                           const ota::Task& task, const SessionGateOptions& options,
                                           const base::Clock& clock);

}  // namespace wayside::agent
