// SPDX-License-Identifier: Apache-2.0
// Loads models from memory into the engine and runs them, for conformance and bad-input tests.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "accel/cpu/kernels/kernels.h"
#include "base/result.h"

namespace wayside::conformance {

/// How a model is run.
struct EngineSetup {
  accel::cpu::Level level = accel::cpu::Level::reference;
  unsigned thread_count = 1;
  std::size_t max_batch = 1;
};
[[nodiscard]] std::string to_string(const EngineSetup& setup);
/// Every level that this machine supports.
[[nodiscard]] std::vector<accel::cpu::Level> supported_levels();

/// Loads a model from memory. Errors: those of CpuSession::create.
base::Result<std::unique_ptr<accel::Session>> load_model(std::span<const std::uint8_t> model, const EngineSetup& setup);
/// Copies `inputs` (sizes must match) and runs.
base::Result<void> run_model(accel::Session& session, std::span<const std::vector<std::uint8_t>> inputs);

}  // namespace wayside::conformance
