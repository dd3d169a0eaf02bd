// SPDX-License-Identifier: Apache-2.0
// Decoding of YuNet.
#include "optimizer/heads/yunet.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <map>
#include <string>
#include <utility>

#include "optimizer/detector/evaluate.h"
#include "optimizer/heads/heads.h"

namespace wayside::optimizer {

base::Result<std::vector<YunetLevel>> yunet_levels(const ir::Graph& graph) {
  std::map<std::string, std::size_t> outputs;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) outputs[graph.tensors[graph.outputs[i]].name] = i;
  const auto size = input_size(graph);
  std::vector<YunetLevel> levels;
  for (const int stride : {8, 16, 32}) {
    YunetLevel level{.stride = stride, .columns = size.width_px / stride, .rows = size.height_px / stride};
    const auto cells = static_cast<std::size_t>(level.columns) * static_cast<std::size_t>(level.rows);
    const auto output = [&](const char* name, std::size_t each) -> base::Result<std::size_t> {
      const auto found = outputs.find(std::format("{}_{}", name, stride));
      if (found == outputs.end() || ir::element_count(shape_of_output(graph, found->second)) != cells * each)
        return std::unexpected(wrong_outputs(
            HeadKind::yunet, std::format("an output {}_{} of {} numbers", name, stride, cells * each), graph));
      return found->second;
    };
    WAYSIDE_TRY(level.classes, output("cls", 1));
    WAYSIDE_TRY(level.objects, output("obj", 1));
    WAYSIDE_TRY(level.boxes, output("bbox", 4));
    WAYSIDE_TRY(level.points, output("kps", 10));
    levels.push_back(level);
  }
  return levels;
}

std::vector<Face> decode_yunet(std::span<const YunetLevel> levels, std::span<const std::vector<float>> outputs,
                               float least_score) {
  std::vector<Face> found;
  for (const YunetLevel& level : levels) {
    const auto stride = static_cast<float>(level.stride);
    for (int cell = 0; cell < level.columns * level.rows; ++cell) {
      const auto i = static_cast<std::size_t>(cell);
      const float score = std::sqrt(std::clamp(outputs[level.classes][i], 0.0F, 1.0F) *
                                    std::clamp(outputs[level.objects][i], 0.0F, 1.0F));
      if (score < least_score) continue;
      const auto column = static_cast<float>(cell % level.columns), row = static_cast<float>(cell / level.columns);
      const float *box = &outputs[level.boxes][4 * i], *points = &outputs[level.points][10 * i];
      const float x = (column + box[0]) * stride, y = (row + box[1]) * stride;
      const float w = std::exp(box[2]) * stride, h = std::exp(box[3]) * stride;
      Face face{.box = {x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0}, .score = score, .landmarks = {}};
      for (std::size_t k = 0; k < face.landmarks.size(); ++k)
        face.landmarks[k] = {static_cast<double>((column + points[2 * k]) * stride),
                             static_cast<double>((row + points[2 * k + 1]) * stride)};
      found.push_back(face);
    }
  }
  return found;
}

base::Result<Head> make_yunet_head(const ir::Graph& graph) {
  WAYSIDE_TRY(auto levels, yunet_levels(graph));
  constexpr float kIou = 0.3F;  // OpenCV's default
  return Head{.class_count = 1, .iou_threshold = kIou, .decode = [levels = std::move(levels)](auto outputs) {
                std::vector<Detection> found;
                for (const Face& face : decode_yunet(levels, outputs, kLeastScore))
                  found.push_back({face.box, face.score});
                return found;
              }};
}

}  // namespace wayside::optimizer
