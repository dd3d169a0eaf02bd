// SPDX-License-Identifier: Apache-2.0
// PackedConv: what packing makes of a convolution's weights, as plain bytes that can be kept in a file and mapped
// again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {

/// Valid for the same spec, the same build of the engine and a level that includes the entry. A kernel made from it
/// borrows the spans, which must outlive it and start at 64-byte boundaries.
struct PackedConv {
  std::uint32_t entry = 0;      ///< of conv_entries()
  std::uint32_t set_count = 1;  ///< DepthwiseArgs::packed_sets
  OutputStage stage;
  std::span<const RequantBlock> requant;
  std::span<const std::byte> weights;
};

/// Bytes of a foreign or damaged file never lead a kernel out of its memory: sizes are the spec's, and the numbers that
/// steer loops are in range. Wrong weights are not found here, see packed_model.h.
[[nodiscard]] inline bool fits(const PackedConv& packed, std::size_t requant_count, std::size_t weight_bytes) {
  if (packed.requant.size() != requant_count || packed.weights.size() != weight_bytes) return false;
  if (packed.set_count < 1 || packed.set_count > 2 || packed.stage.mode > RequantMode::general) return false;
  for (const RequantBlock& block : packed.requant) {
    if (block.mode > RequantMode::general || block.set_count < 0 ||
        block.set_count > static_cast<std::int32_t>(packed.set_count))
      return false;
  }
  return true;
}

}  // namespace wayside::accel::cpu
