// SPDX-License-Identifier: Apache-2.0
// The CPU INT8 engine as an Accelerator; make_cpu_accelerator() is declared in accel/accelerator.h.
#pragma once

#include <filesystem>
#include <memory>

#include "accel/accelerator.h"
#include "accel/cpu/cpu_session.h"
#include "base/result.h"

namespace wayside::accel::cpu {

/// Loads with the fastest instruction set of this machine (or WAYSIDE_CPU_LEVEL). The file is unmapped before this
/// returns. `packed_dir`: a PackedCache, or empty; what goes wrong with it is logged and the weights are packed.
/// Errors: those of MappedFile::open and CpuSession::create, with "model <path>" in front.
[[nodiscard]] base::Result<std::unique_ptr<CpuSession>> load_cpu_session(const std::filesystem::path& model,
                                                                         const SessionOptions& options,
                                                                         const std::filesystem::path& packed_dir = {});

}  // namespace wayside::accel::cpu
