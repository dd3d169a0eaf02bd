// SPDX-License-Identifier: Apache-2.0
// Mixed precision: the most layers with four-bit weights that a budget bears, found by measuring.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

/// A layer with weights, and what it costs to give only its weights four bits.
struct LayerPrecision {
  std::size_t op = 0;
  std::string name;
  std::size_t weights = 0;
  double four_bit_db = 0;  ///< signal to noise of the network's outputs then (int4_sensitivity)
  int bits = 8;            ///< what the search gave it
};

/// The layers of `network`, equalised as the chains do it, the least sensitive first.
[[nodiscard]] std::vector<LayerPrecision> layers_by_sensitivity(const ir::Graph& network,
                                                                const std::vector<ir::Values>& samples);

/// PtqOptions::int4_share that gives the first `count` layers four bits.
[[nodiscard]] double share_of(const std::vector<LayerPrecision>& layers, std::size_t count);

/// The largest count in 0..most that fits, by bisection: right where a layer more never makes it fit again; at most
/// 2 + log2(most) calls, the last one that fitted is the answer. Empty: 0 does not fit either.
[[nodiscard]] base::Result<std::optional<std::size_t>> largest_that_fits(
    std::size_t most, const std::function<base::Result<bool>(std::size_t)>& fits);

}  // namespace wayside::optimizer
