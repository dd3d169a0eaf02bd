// SPDX-License-Identifier: Apache-2.0
// Affine: operators that scale and move each channel by constants (internal to passes/).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer::passes {

/// y = factor * x + offset for each channel.
struct Affine {
  std::vector<float> factor, offset;
};

/// The operator as an affine function of its only computed input, whose index is given too.
struct AffineStep {
  Affine affine;
  std::size_t input = 0;
};
/// What comes before the operator's own activation; nothing for other operators.
[[nodiscard]] std::optional<AffineStep> as_affine(const ir::Graph& graph, const ir::Op& op);

}  // namespace wayside::optimizer::passes
