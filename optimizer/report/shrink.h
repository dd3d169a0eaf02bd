// SPDX-License-Identifier: Apache-2.0
// A smaller float network before it is quantised: pruned, factorised or searched for, then taught by the original.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/finetune.h"

namespace wayside::optimizer {

/// One of the three.
struct ShrinkOptions {
  std::optional<double> kept_mac_share;             ///< channel pruning by L2 norm
  std::optional<double> energy;                     ///< low-rank factorisation, LowRankOptions::energy
  std::optional<std::chrono::nanoseconds> latency;  ///< search for the best that is faster on the CPU engine
  FinetuneOptions training;                         ///< in float; steps 0: none
};
/// "pruned-50+distilled-300"
[[nodiscard]] std::string name_of(const ShrinkOptions& options);

struct Shrunk {
  ir::Graph untrained, trained;
};
/// `teacher` is in .tflite forms. Called with the share done, false stops. Errors: invalid_argument, not_found (nothing
/// is fast enough), bad_state (stopped).
[[nodiscard]] base::Result<Shrunk> shrink(const ir::Graph& teacher, const Samples& samples,
                                          const ShrinkOptions& options, const std::function<bool(double)>& progress);

}  // namespace wayside::optimizer
