// SPDX-License-Identifier: Apache-2.0
// EngineRunner: a written model on the CPU engine, floats in and out, timed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <vector>

#include "accel/accelerator.h"
#include "base/result.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/run_times.h"

namespace wayside::optimizer {

/// Rounds a sample into input 0. Errors: invalid_argument (another size).
base::Result<void> fill_input(accel::Session& session, const ir::Values& input);

class EngineRunner {
 public:
  /// One thread. Errors: not_found, corrupt, unsupported.
  static base::Result<EngineRunner> load(const std::filesystem::path& file);

  /// Rounds the input, runs, and gives the outputs as real numbers. Errors: invalid_argument (another size).
  base::Result<std::vector<ir::Values>> run(const ir::Values& input);

  /// Inputs and outputs of some runs in the model's own types, one after the other, as a package's golden set.
  struct GoldenSet {
    std::vector<std::byte> inputs, outputs;
    std::size_t count = 0;
  };
  base::Result<GoldenSet> golden_set(const std::vector<ir::Values>& samples);

  /// Of the times of run(); share 0.5: the median.
  [[nodiscard]] double percentile_ms(double share) const;
  [[nodiscard]] const accel::Session& session() const { return *session_; }

 private:
  std::unique_ptr<accel::Accelerator> engine_;
  std::unique_ptr<accel::Session> session_;
  RunTimes times_;
};

}  // namespace wayside::optimizer
