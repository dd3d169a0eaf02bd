// SPDX-License-Identifier: Apache-2.0
// Greedy by size; see the header for the prose.
#include "accel/cpu/memory_planner.h"

#include <algorithm>
#include <numeric>

namespace wayside::accel::cpu {
namespace {

using Block = MemoryPlanner::Block;

std::size_t aligned(std::size_t bytes) {
  return (bytes + MemoryPlanner::kAlignmentBytes - 1) / MemoryPlanner::kAlignmentBytes * MemoryPlanner::kAlignmentBytes;
}

bool alive_together(const Block& a, const Block& b) { return a.first_use <= b.last_use && b.first_use <= a.last_use; }

std::vector<std::size_t> by_size(std::span<const Block> blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (blocks[a].size_bytes != blocks[b].size_bytes) return blocks[a].size_bytes > blocks[b].size_bytes;
    return blocks[a].first_use < blocks[b].first_use;
  });
  return order;
}

}  // namespace

MemoryPlanner::Plan MemoryPlanner::plan(std::span<const Block> blocks) {
  Plan plan;
  plan.offsets_bytes.assign(blocks.size(), 0);
  std::vector<std::size_t> placed;  // block numbers in order of their offsets
  for (const std::size_t number : by_size(blocks)) {
    const std::size_t size_bytes = aligned(blocks[number].size_bytes);
    if (size_bytes == 0) continue;
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      if (!alive_together(blocks[number], blocks[other])) continue;
      if (plan.offsets_bytes[other] >= offset + size_bytes) break;  // the gap before `other` is wide enough
      offset = std::max(offset, plan.offsets_bytes[other] + aligned(blocks[other].size_bytes));
    }
    plan.offsets_bytes[number] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + size_bytes);
    const auto position =
        std::ranges::upper_bound(placed, offset, {}, [&](std::size_t p) { return plan.offsets_bytes[p]; });
    placed.insert(position, number);
  }
  return plan;
}

}  // namespace wayside::accel::cpu
