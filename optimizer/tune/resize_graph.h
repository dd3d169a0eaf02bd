// SPDX-License-Identifier: Apache-2.0
// The same network for pictures of another size, and with fewer blocks: what architecture search varies.
#pragma once

#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

struct PictureSize {
  int rows = 0, columns = 0;
  bool operator==(const PictureSize&) const = default;
};

/// All shapes for an input of that size. Resizing keeps its factor; pools over the whole picture stay so; a reshape
/// grows in the one dimension that held the picture. Weights stay. Errors: unsupported (names the operator: a dense
/// layer that reads places, constants for each place, a crop), invalid_argument (not one picture as input).
[[nodiscard]] base::Result<ir::Graph> with_picture_size(const ir::Graph& graph, PictureSize size);

/// A part of the network that can be left out, as what it takes and gives has one shape: a residual block, or one
/// layer.
struct Block {
  ir::TensorId in = 0, out = 0;
};
[[nodiscard]] std::vector<Block> removable_blocks(const ir::Graph& graph);
/// The graph whose readers of block.out read block.in.
[[nodiscard]] ir::Graph without_block(const ir::Graph& graph, const Block& block);

}  // namespace wayside::optimizer
