// SPDX-License-Identifier: Apache-2.0
// Variations of a picture, by seed: more to learn from than the samples show (internal to tune/).
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// Whether a graph's input [1,H,W,C] is a picture: grey or of three colours, and not tiny.
[[nodiscard]] bool is_picture(const ir::Shape& shape);

struct ValueRange {
  float low = 0, high = 255;
};

/// `picture` [1,C,H,W] shifted by up to an eighth of its size (its edge repeated), mirrored or not, with a little more
/// or less contrast and brightness; values stay in the range. A teacher that answers the same picture needs no label,
/// so that nothing has to be known about what may be varied.
[[nodiscard]] torch::Tensor varied(const torch::Tensor& picture, const ValueRange& range, std::uint64_t seed);

}  // namespace wayside::optimizer
