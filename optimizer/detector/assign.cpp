// SPDX-License-Identifier: Apache-2.0
// Task-aligned assignment in plain loops: a picture has a few objects and 1260 cells.
#include "optimizer/detector/assign.h"

#include <algorithm>
#include <cmath>

namespace wayside::optimizer {
namespace {

constexpr std::int32_t kBackground = -1;
constexpr std::int32_t kIgnored = -2;

struct Candidate {
  std::size_t cell = 0;
  float iou = 0, alignment = 0;
};

struct Cell {
  const LevelView* level = nullptr;
  std::size_t index = 0;  ///< within the level
  float x = 0, y = 0;     ///< centre, px
};

std::vector<Cell> all_cells(std::span<const LevelView> levels) {
  std::vector<Cell> cells;
  for (const auto& level : levels) {
    for (int row = 0; row < level.rows; ++row) {
      for (int column = 0; column < level.columns; ++column) {
        const auto stride = static_cast<float>(level.stride);
        cells.push_back({&level, static_cast<std::size_t>(row * level.columns + column),
                         (static_cast<float>(column) + 0.5F) * stride, (static_cast<float>(row) + 0.5F) * stride});
      }
    }
  }
  return cells;
}

LabelBox predicted_box(const Cell& cell) {
  const auto stride = static_cast<float>(cell.level->stride);
  const float* d = &cell.level->boxes[cell.index * 4];
  return {cell.x - d[0] * stride, cell.y - d[1] * stride, cell.x + d[2] * stride, cell.y + d[3] * stride, 0};
}

bool may_answer(const Cell& cell, const LabelBox& box, const AssignOptions& options) {
  if (cell.x > box.x0 && cell.x < box.x1 && cell.y > box.y0 && cell.y < box.y1) return true;
  const float reach = options.centre_radius * static_cast<float>(cell.level->stride);
  const bool small = std::max(width(box), height(box)) < 2 * reach;
  return small && std::abs(cell.x - (box.x0 + box.x1) / 2) < reach && std::abs(cell.y - (box.y0 + box.y1) / 2) < reach;
}

/// The best cells for one object, best first.
std::vector<Candidate> best_cells(std::span<const Cell> cells, int class_count, const LabelBox& box,
                                  const AssignOptions& options) {
  // Floors that keep the order meaningful where a fresh network finds nothing: nearness of size then decides.
  constexpr float kFloor = 1e-4F;
  std::vector<Candidate> found;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!may_answer(cells[i], box, options)) continue;
    const float iou = overlap(predicted_box(cells[i]), box);
    const auto channel =
        cells[i].index * static_cast<std::size_t>(class_count) + static_cast<std::size_t>(box.class_id);
    const float score = std::max(kFloor, cells[i].level->scores[channel]);
    found.push_back({i, iou, std::pow(score, options.alpha) * std::pow(std::max(kFloor, iou), options.beta)});
  }
  const auto keep = std::min(options.top, found.size());
  std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(keep), std::ranges::greater{},
                            &Candidate::alignment);
  found.resize(keep);
  return found;
}

}  // namespace

Targets assign(std::span<const LevelView> levels, int class_count, std::span<const LabelBox> boxes,
               const AssignOptions& options) {
  const std::vector<Cell> cells = all_cells(levels);
  Targets targets{std::vector<std::int32_t>(cells.size(), kBackground), std::vector<float>(cells.size(), 0.0F)};
  for (const auto& box : boxes) {
    if (box.class_id != kIgnoreClass) continue;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].x > box.x0 && cells[i].x < box.x1 && cells[i].y > box.y0 && cells[i].y < box.y1)
        targets.object[i] = kIgnored;
    }
  }
  std::vector<float> best_iou(cells.size(), -1.0F);
  std::vector<std::vector<Candidate>> of_box(boxes.size());
  for (std::size_t b = 0; b < boxes.size(); ++b) {
    if (boxes[b].class_id == kIgnoreClass) continue;
    of_box[b] = best_cells(cells, class_count, boxes[b], options);
    for (const auto& candidate : of_box[b]) {  // a cell that two objects want goes to the one it overlaps more
      if (candidate.iou <= best_iou[candidate.cell]) continue;
      best_iou[candidate.cell] = candidate.iou;
      targets.object[candidate.cell] = static_cast<std::int32_t>(b);
    }
  }
  for (std::size_t b = 0; b < boxes.size(); ++b) {
    float most_iou = 0, most_alignment = 0;
    for (const auto& candidate : of_box[b]) {
      if (targets.object[candidate.cell] != static_cast<std::int32_t>(b)) continue;
      most_iou = std::max(most_iou, candidate.iou);
      most_alignment = std::max(most_alignment, candidate.alignment);
    }
    for (const auto& candidate : of_box[b]) {
      if (targets.object[candidate.cell] != static_cast<std::int32_t>(b)) continue;
      // The floor gives an object that the network does not see at all yet something to learn from.
      constexpr float kLeastTarget = 0.05F;
      targets.score[candidate.cell] = std::max(kLeastTarget, candidate.alignment / most_alignment * most_iou);
    }
  }
  return targets;
}

}  // namespace wayside::optimizer
