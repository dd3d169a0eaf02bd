// SPDX-License-Identifier: Apache-2.0
// MemoryPlanner: gives every intermediate tensor a place in one arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace wayside::accel::cpu {

/// How it plans.
///
/// Operators run one after the other, so time is the operator's index. A block (a tensor, or one operator's scratch
/// memory) is alive from the operator that writes it to the last one that reads it, both included. Two blocks may share
/// bytes when no operator needs both. Finding the smallest arena is NP-hard (it is bin packing); the greedy rule is
/// close for networks, whose largest tensors decide:
///
///   1. Take the blocks from the largest to the smallest (ties: the one that starts first, then by number, so that the
///      plan is the same on every machine).
///   2. Put each at the lowest aligned offset where it fits between the already placed blocks that are alive at the
///   same
///      time: walk those in order of their offsets and take the first gap that is wide enough.
///
/// Cost O(n^2) for n blocks. Source of the idea: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
/// Inference", 2020, "greedy by size for offset calculation".
class MemoryPlanner {
 public:
  /// Every offset is a multiple of this: a cache line, and the widest vector register.
  static constexpr std::size_t kAlignmentBytes = 64;

  struct Block {
    std::size_t size_bytes = 0;               ///< 0 takes no room
    std::size_t first_use = 0, last_use = 0;  ///< operator indices, both included; first_use <= last_use
  };

  struct Plan {
    std::vector<std::size_t> offsets_bytes;  ///< one per block
    std::size_t arena_bytes = 0;             ///< multiple of kAlignmentBytes
  };

  /// Pure. The sum of all sizes must fit a size_t.
  [[nodiscard]] static Plan plan(std::span<const Block> blocks);
};

}  // namespace wayside::accel::cpu
