// SPDX-License-Identifier: Apache-2.0
// PackedNode: what preparing one operator computed that the next load need not compute again.
#pragma once

#include <cstdint>
#include <optional>

#include "accel/cpu/kernels/elementwise.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/kernels/packed_conv.h"

namespace wayside::accel::cpu {

/// Any of the parts may be absent. Valid for the same model, build and level.
struct PackedNode {
  std::uint32_t index = 0;  ///< of the operator in the model file
  std::optional<PackedConv> conv;
  std::optional<SumForm> sum;
  /// Of the operator's output, by the byte of its origin (fold.h).
  std::optional<LookupTable> table;
  [[nodiscard]] bool is_empty() const { return !conv && !sum && !table; }
};

}  // namespace wayside::accel::cpu
