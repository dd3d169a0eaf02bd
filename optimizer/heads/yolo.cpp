// SPDX-License-Identifier: Apache-2.0
// YOLOX and YOLOv8: one tensor with a row or a column of coordinates and scores for each cell.
#include <algorithm>
#include <cmath>
#include <format>
#include <optional>
#include <utility>

#include "optimizer/detector/evaluate.h"
#include "optimizer/heads/heads.h"

namespace wayside::optimizer {
namespace {

constexpr std::size_t kBoxFields = 4;
/// Both evaluate with 0.65 to 0.7 (YOLOX, exps: nmsthre; Ultralytics, val: iou).
constexpr float kIou = 0.65F;

/// Where field f of cell c lies.
struct Layout {
  std::size_t cells = 0, fields = 0;
  bool fields_first = false;
  [[nodiscard]] std::size_t at(std::size_t cell, std::size_t field) const {
    return fields_first ? field * cells + cell : cell * fields + field;
  }
};

/// The only output, [1,a,b].
std::optional<std::pair<std::size_t, std::size_t>> table_of(const ir::Graph& graph) {
  if (graph.outputs.size() != 1) return std::nullopt;
  const auto& shape = shape_of_output(graph, 0);
  if (shape.size() != 3 || shape[0] != 1) return std::nullopt;
  return std::pair{static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2])};
}

LabelBox centred(float x, float y, float w, float h, std::size_t class_id) {
  return {x - w / 2, y - h / 2, x + w / 2, y + h / 2, static_cast<int>(class_id)};
}

struct Yolox {
  struct Level {
    int stride = 8;
    std::size_t columns = 0, cells = 0;
  };
  std::vector<Level> levels;
  Layout layout;

  [[nodiscard]] std::vector<Detection> decode(std::span<const std::vector<float>> outputs) const {
    const auto& values = outputs[0];
    std::vector<Detection> found;
    std::size_t cell = 0;
    for (const Level& level : levels) {
      const auto stride = static_cast<float>(level.stride);
      for (std::size_t i = 0; i < level.cells; ++i, ++cell) {
        const auto field = [&](std::size_t f) { return values[layout.at(cell, f)]; };
        const float object = field(kBoxFields);
        if (object < kLeastScore) continue;  // class scores are at most 1
        const float x = (field(0) + static_cast<float>(i % level.columns)) * stride;
        const float y = (field(1) + static_cast<float>(i / level.columns)) * stride;
        const float w = std::exp(field(2)) * stride, h = std::exp(field(3)) * stride;
        for (std::size_t c = 0; c + kBoxFields + 1 < layout.fields; ++c) {
          const float score = object * field(kBoxFields + 1 + c);
          if (score >= kLeastScore) found.push_back({centred(x, y, w, h, c), score});
        }
      }
    }
    return found;
  }
};

struct Yolov8 {
  Layout layout;
  InputSize size;

  [[nodiscard]] std::vector<Detection> decode(std::span<const std::vector<float>> outputs) const {
    const auto& values = outputs[0];
    std::vector<Detection> found;
    float largest = 0;
    for (std::size_t cell = 0; cell < layout.cells; ++cell) {
      const auto field = [&](std::size_t f) { return values[layout.at(cell, f)]; };
      for (std::size_t c = 0; c + kBoxFields < layout.fields; ++c) {
        const float score = field(kBoxFields + c);
        if (score < kLeastScore) continue;
        found.push_back({centred(field(0), field(1), field(2), field(3), c), score});
        for (std::size_t f = 0; f < kBoxFields; ++f) largest = std::max(largest, field(f));
      }
    }
    // Exports differ: px or fractions. Nothing is smaller than 2 px on all four counts, and no fraction larger than 2.
    if (largest <= 2) {
      const auto width_px = static_cast<float>(size.width_px), height_px = static_cast<float>(size.height_px);
      for (auto& [box, score] : found)
        box = {box.x0 * width_px, box.y0 * height_px, box.x1 * width_px, box.y1 * height_px, box.class_id};
    }
    return found;
  }
};

}  // namespace

base::Result<Head> make_yolox_head(const ir::Graph& graph) {
  Yolox yolox;
  const auto size = input_size(graph);
  for (const int stride : {8, 16, 32}) {
    const auto columns = static_cast<std::size_t>(size.width_px / stride),
               rows = static_cast<std::size_t>(size.height_px / stride);
    yolox.levels.push_back({.stride = stride, .columns = columns, .cells = columns * rows});
    yolox.layout.cells += columns * rows;
  }
  const auto wrong = std::unexpected(wrong_outputs(
      HeadKind::yolox,
      std::format("one output [1,{0},5+classes] or [1,5+classes,{0}] (strides 8, 16, 32)", yolox.layout.cells), graph));
  const auto sizes = table_of(graph);
  if (!sizes) return wrong;
  const auto [a, b] = *sizes;
  yolox.layout.fields_first = a != yolox.layout.cells;
  yolox.layout.fields = yolox.layout.fields_first ? a : b;
  if (std::max(a, b) != yolox.layout.cells && std::min(a, b) != yolox.layout.cells) return wrong;
  if (yolox.layout.fields < kBoxFields + 2) return wrong;
  return Head{.class_count = static_cast<int>(yolox.layout.fields - kBoxFields - 1),
              .iou_threshold = kIou,
              .decode = [yolox = std::move(yolox)](auto outputs) { return yolox.decode(outputs); }};
}

base::Result<Head> make_yolov8_head(const ir::Graph& graph) {
  const auto wrong =
      std::unexpected(wrong_outputs(HeadKind::yolov8, "one output [1,4+classes,cells] or [1,cells,4+classes]", graph));
  const auto sizes = table_of(graph);
  if (!sizes) return wrong;
  const auto [a, b] = *sizes;
  // A detector has more cells than fields.
  Yolov8 yolov8{.layout = {.cells = std::max(a, b), .fields = std::min(a, b), .fields_first = a < b},
                .size = input_size(graph)};
  if (yolov8.layout.fields <= kBoxFields) return wrong;
  return Head{.class_count = static_cast<int>(yolov8.layout.fields - kBoxFields),
              .iou_threshold = kIou,
              .decode = [yolov8](auto outputs) { return yolov8.decode(outputs); }};
}

}  // namespace wayside::optimizer
