// SPDX-License-Identifier: Apache-2.0
// A smaller float network before it is quantised: pruned, thinned, factorised or searched for, then taught by the
// original.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/finetune.h"
#include "optimizer/tune/prune.h"

namespace wayside::optimizer {

/// Single weights that become zero. The network keeps its shape: only runtimes with sparse kernels get faster.
struct Sparsity {
  bool two_of_four = false;  ///< two of each four neighbouring input channels
  double zero_share = 0;     ///< else the smallest of all layers together
};
/// "2:4", or a share as "0.5".
[[nodiscard]] base::Result<Sparsity> parse_sparsity(const std::string& text);

/// One of the four.
struct ShrinkOptions {
  std::optional<double> kept_mac_share;                ///< channel pruning
  Importance importance = Importance::reconstruction;  ///< which channels go
  std::size_t rounds = 1;            ///< pruned a part at a time, with a share of the training after each
  std::optional<Sparsity> sparsity;  ///< zeros stay zero in the training, and in --qat
  std::optional<double> energy;      ///< low-rank factorisation, LowRankOptions::energy
  std::optional<std::chrono::nanoseconds> latency;  ///< search for the best that is faster on the CPU engine
  FinetuneOptions training;                         ///< in float; steps 0: none
  /// Of the last round's training, which goes on from it after a stop (what comes before is done again). Not of a
  /// search, whose network depends on measured times. Empty: none.
  std::filesystem::path checkpoint{};
};
/// "pruned-50+distilled-300"
[[nodiscard]] std::string name_of(const ShrinkOptions& options);

struct Shrunk {
  ir::Graph untrained, trained;  ///< before and after the training, of several rounds the last one's
  std::optional<Finetuned> training;
};
/// Called with how the training stands (may be empty) and the share done; false stops.
using ShrinkProgress = std::function<bool(const std::string& note, double done)>;
/// `teacher` is in .tflite forms. Errors: invalid_argument, not_found (nothing
/// is fast enough), bad_state (stopped).
[[nodiscard]] base::Result<Shrunk> shrink(const ir::Graph& teacher, const Samples& samples,
                                          const ShrinkOptions& options, const ShrinkProgress& progress);

}  // namespace wayside::optimizer
