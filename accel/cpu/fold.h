// SPDX-License-Identifier: Apache-2.0
// Fold: operators that need not run by themselves: chains of elementwise bytes become one table, PAD goes into windows.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "accel/cpu/graph.h"
#include "accel/cpu/ops/lookup.h"
#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu {

/// Is shown the operators in their order, each before and after its preparation.
///
/// 1. A tensor whose every byte is a function of the byte at the same place of one other tensor (its origin) has 256
///    possible answers, however many operators lie between: SiLU = x * logistic(x), a hard-swish spelled out. Such an
///    operator is replaced by one lookup in the origin; the table comes from the operators' own functions, so that the
///    result is theirs, bit by bit. What only fed it is left without readers.
/// 2. A convolution or maximum pool that reads a PAD of zero points reads the PAD's input instead and takes the pads
///    into its own window.
class Fold {
 public:
  /// The graph must outlive this, and its nodes and tensors must stay where they are.
  Fold(const Graph& graph, Level level) : graph_(graph), level_(level), origins_(graph.tensors.size()) {}

  /// The node to prepare in the place of `node`: itself or a copy that reads the input of a PAD.
  [[nodiscard]] const Node& before(const Node& node);
  /// The node that `prepared`, which may be replaced, belongs to: itself or a copy that reads the origin. `kept`: what
  /// table_of() said of its output when the same graph was folded before, or null.
  [[nodiscard]] const Node& after(const Node& node, PreparedOp& prepared, const LookupTable* kept = nullptr);
  /// Of a tensor by the byte of its origin; null where it has none but itself.
  [[nodiscard]] const LookupTable* table_of(std::int32_t tensor) const;

 private:
  struct Origin {
    std::int32_t tensor = -1;
    LookupTable table{};
  };
  struct Padded {
    std::int32_t tensor = -1;  // the PAD's output
    std::int32_t input = -1;
    PicturePadding padding;
  };
  /// table_of(), or the identity of a tensor that is its own origin.
  [[nodiscard]] LookupTable table_from_origin(std::int32_t tensor) const;
  [[nodiscard]] bool window_takes(const Node& node, const Padded& padded) const;

  const Graph& graph_;
  Level level_;
  std::vector<std::optional<Origin>> origins_;  // by tensor
  std::vector<Padded> padded_;
  std::deque<Node> rewritten_;
};

/// Which of `steps` must run so that `outputs` get their values; a step is the places that it reads and writes.
struct StepPlaces {
  std::vector<std::int32_t> reads, writes;
};
[[nodiscard]] std::vector<bool> needed_steps(const std::vector<StepPlaces>& steps,
                                             const std::vector<std::int32_t>& outputs, std::size_t place_count);

}  // namespace wayside::accel::cpu
