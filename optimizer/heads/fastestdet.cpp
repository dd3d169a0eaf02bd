// SPDX-License-Identifier: Apache-2.0
// FastestDet: one grid of cells with objectness, box and classes.
#include <cmath>
#include <utility>

#include "optimizer/detector/evaluate.h"
#include "optimizer/heads/heads.h"

namespace wayside::optimizer {
namespace {

constexpr std::size_t kBeforeClasses = 5;

struct FastestDet {
  std::size_t rows = 0, columns = 0, fields = 0;
  bool fields_first = true;
  InputSize size;

  [[nodiscard]] std::vector<Detection> decode(std::span<const std::vector<float>> outputs) const {
    const auto cell_width_px = static_cast<float>(size.width_px) / static_cast<float>(columns),
               cell_height_px = static_cast<float>(size.height_px) / static_cast<float>(rows);
    std::vector<Detection> found;
    for (std::size_t cell = 0; cell < rows * columns; ++cell) {
      const auto field = [&](std::size_t f) {
        return outputs[0][fields_first ? f * rows * columns + cell : cell * fields + f];
      };
      const auto fraction = [&](std::size_t f) { return 1 / (1 + std::exp(-field(f))); };
      const float object = std::pow(std::max(field(0), 0.0F), 0.6F);
      if (object < kLeastScore) continue;
      const float x = (static_cast<float>(cell % columns) + std::tanh(field(1))) * cell_width_px,
                  y = (static_cast<float>(cell / columns) + std::tanh(field(2))) * cell_height_px;
      const float w = fraction(3) * static_cast<float>(size.width_px),
                  h = fraction(4) * static_cast<float>(size.height_px);
      for (std::size_t c = 0; c + kBeforeClasses < fields; ++c) {
        const float score = object * std::pow(std::max(field(kBeforeClasses + c), 0.0F), 0.4F);
        if (score < kLeastScore) continue;
        found.push_back({{x - w / 2, y - h / 2, x + w / 2, y + h / 2, static_cast<int>(c)}, score});
      }
    }
    return found;
  }
};

}  // namespace

base::Result<Head> make_fastestdet_head(const ir::Graph& graph) {
  constexpr int kStride = 16;
  FastestDet head{.size = input_size(graph)};
  const int rows = head.size.height_px / kStride, columns = head.size.width_px / kStride;
  const auto wrong = std::unexpected(
      wrong_outputs(HeadKind::fastestdet,
                    std::format("one output [1,5+classes,{0},{1}] or [1,{0},{1},5+classes]", rows, columns), graph));
  if (graph.outputs.size() != 1 || shape_of_output(graph, 0).size() != 4 || shape_of_output(graph, 0)[0] != 1)
    return wrong;
  const auto& shape = shape_of_output(graph, 0);
  head.fields_first = shape[2] == rows && shape[3] == columns;
  if (!head.fields_first && (shape[1] != rows || shape[2] != columns)) return wrong;
  head.rows = static_cast<std::size_t>(rows);
  head.columns = static_cast<std::size_t>(columns);
  head.fields = static_cast<std::size_t>(head.fields_first ? shape[1] : shape[3]);
  if (head.fields <= kBeforeClasses) return wrong;
  return Head{.class_count = static_cast<int>(head.fields - kBeforeClasses),
              .decode = [head](auto outputs) { return head.decode(outputs); }};
}

}  // namespace wayside::optimizer
