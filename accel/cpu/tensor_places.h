// SPDX-License-Identifier: Apache-2.0
// TensorPlaces: which tensors share memory: other names for the same bytes, work in place, parts of a concatenation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "accel/cpu/fold.h"
#include "accel/cpu/graph.h"
#include "accel/cpu/memory_planner.h"
#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu {

/// An operator that will run.
struct PendingStep {
  const Node* node = nullptr;
  std::size_t number = 0;  ///< in CpuSession::operators()
  PreparedOp prepared;
};

/// A tensor's place is the tensor whose memory it uses, at first itself. Model inputs and outputs never share memory:
/// an output keeps its value while the caller writes the next input.
class TensorPlaces {
 public:
  /// Bytes of a place, from `begin` on.
  struct Part {
    std::int32_t place = -1;
    std::size_t begin = 0;
  };

  /// The graph must outlive this.
  explicit TensorPlaces(const Graph& graph);

  /// Makes `out` another name for the bytes of `in`; false: they must stay apart.
  [[nodiscard]] bool alias(std::int32_t in, std::int32_t out);
  [[nodiscard]] std::int32_t place_of(std::int32_t tensor) const { return place_of_[tensor]; }
  [[nodiscard]] std::vector<std::int32_t> places(const std::vector<std::int32_t>& tensors) const;
  [[nodiscard]] StepPlaces places_of(const PendingStep& step) const;

  /// An elementwise operator writes over an operand that nobody reads afterwards.
  void share_operands(std::span<const PendingStep> steps);
  /// What a concatenation only moves and nobody reads afterwards (its output may be written over then) is computed in
  /// its output. Model inputs keep their place, and a tensor that is joined twice has one.
  void place_parts(std::span<const PendingStep> steps);

  /// Where a tensor lies: parts may be parts of parts.
  [[nodiscard]] Part whole_of(std::int32_t tensor) const;
  /// By tensor: from when until when its bytes are needed; nothing (no bytes) of those that have no place of their own.
  [[nodiscard]] std::vector<MemoryPlanner::Block> lifetimes(std::span<const PendingStep> steps) const;

 private:
  [[nodiscard]] std::vector<std::size_t> last_reads(std::span<const PendingStep> steps) const;

  const Graph& graph_;
  std::vector<std::int32_t> place_of_;  // tensor -> the tensor whose memory it uses
  std::vector<Part> part_of_;           // by place: the concatenation's output that it is a part of, if any
};

}  // namespace wayside::accel::cpu
