// SPDX-License-Identifier: Apache-2.0
// Cutting of tiles and of the boxes in them.
#include "optimizer/label/tiles.h"

#include <algorithm>
#include <utility>

namespace wayside::optimizer {
namespace {

/// The box as the tile sees it; empty where it does not.
LabelBox seen(const LabelBox& box, const Tile& tile) {
  const auto left = static_cast<float>(tile.x0_px), top = static_cast<float>(tile.y0_px);
  const auto width_px = static_cast<float>(tile.picture.width_px),
             height_px = static_cast<float>(tile.picture.height_px);
  const LabelBox moved{box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top, box.class_id};
  LabelBox out{std::clamp(moved.x0, 0.0F, width_px), std::clamp(moved.y0, 0.0F, height_px),
               std::clamp(moved.x1, 0.0F, width_px), std::clamp(moved.y1, 0.0F, height_px), box.class_id};
  constexpr float kRounding_px = 0.5F;  // annotations have tenths
  const bool cut = width(moved) - width(out) > kRounding_px || height(moved) - height(out) > kRounding_px;
  if (cut) out.class_id = kIgnoreClass;
  return out;
}

}  // namespace

std::vector<int> tile_starts(int length_px, int size_px) {
  std::vector<int> out{0};
  while (out.back() + size_px < length_px)
    out.push_back(std::min(out.back() + std::max(1, 3 * size_px / 4), length_px - size_px));
  return out;
}

std::vector<Tile> cut_tiles(const Picture& picture, const std::vector<LabelBox>& boxes, int size_px) {
  std::vector<Tile> tiles;
  for (const int y : tile_starts(picture.height_px, size_px)) {
    for (const int x : tile_starts(picture.width_px, size_px)) {
      Tile tile{.picture = Picture(std::min(size_px, picture.width_px), std::min(size_px, picture.height_px)),
                .x0_px = x,
                .y0_px = y,
                .boxes = {}};
      for (int row = 0; row < tile.picture.height_px; ++row)
        std::copy_n(picture.row(y + row) + 3 * x, 3 * tile.picture.width_px, tile.picture.row(row));
      for (const auto& box : boxes) {
        const LabelBox part = seen(box, tile);
        if (width(part) > 0 && height(part) > 0) tile.boxes.push_back(part);
      }
      tiles.push_back(std::move(tile));
    }
  }
  return tiles;
}

}  // namespace wayside::optimizer
