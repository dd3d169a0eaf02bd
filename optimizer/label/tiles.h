// SPDX-License-Identifier: Apache-2.0
// Tiles: overlapping squares on a fixed grid over a picture, so that small objects come to a network at a size that it
// knows.
#pragma once

#include <vector>

#include "optimizer/data/labels.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {

/// First px of the tiles of `size_px` that cover `length_px`; neighbours overlap by a quarter, so that what is smaller
/// than that lies whole in one of them. One at 0 where the length is not larger than a tile.
[[nodiscard]] std::vector<int> tile_starts(int length_px, int size_px);

struct Tile {
  Picture picture;
  int x0_px = 0, y0_px = 0;
  /// px of the tile. What its edge cuts has become kIgnoreClass: the part that is seen.
  std::vector<LabelBox> boxes;
};

/// Row by row. At the right and the bottom of a small picture tiles are smaller.
[[nodiscard]] std::vector<Tile> cut_tiles(const Picture& picture, const std::vector<LabelBox>& boxes, int size_px);

}  // namespace wayside::optimizer
