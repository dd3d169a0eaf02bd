// SPDX-License-Identifier: Apache-2.0
// The one list of convolution kernels: declares, dispatches, and is what tests and benchmarks walk.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

/// One implementation. `make` returns null for a spec that it does not cover; the next entry is then tried.
struct ConvEntry {
  Level level;
  std::string_view name;
  std::unique_ptr<ConvKernel> (*make)(const ConvSpec& spec);
};

/// All entries of this build, the fastest first; the last is the reference, which covers everything.
[[nodiscard]] std::span<const ConvEntry> conv_entries();

/// True when a session that runs at `chosen` may use kernels of `entry`: same processor family and not faster.
[[nodiscard]] bool level_includes(Level chosen, Level entry);

std::unique_ptr<ConvKernel> make_reference_conv(const ConvSpec& spec);

}  // namespace wayside::accel::cpu
