// SPDX-License-Identifier: Apache-2.0
// Two tasks have decoders in the agent that take the written outputs as they are.
#include "optimizer/report/card.h"

#include <format>
#include <nlohmann/json.hpp>

namespace wayside::optimizer {

base::Result<std::optional<Card>> model_card(const TaskSpec& task, const ir::Graph& graph,
                                             const PackageOptions& package) {
  const ir::Shape& input = graph.tensors[graph.inputs[0]].shape;
  const bool picture = input.size() == 4 && input[3] == 3;
  const bool classify = task.kind == TaskKind::classify;
  const bool yolox = task.kind == TaskKind::detect && task.head.kind == HeadKind::yolox;
  if (!picture || !(classify || yolox)) return std::nullopt;
  std::size_t classes = ir::element_count(graph.tensors[graph.outputs[0]].shape);
  if (yolox) {
    WAYSIDE_TRY(const auto head, make_head(task.head, graph));
    classes = static_cast<std::size_t>(head.class_count);
  }
  if (!package.labels.empty() && package.labels.size() != classes)
    return base::fail(base::Code::invalid_argument,
                      std::format("--labels has {} names, the network {} classes; name each, in order",
                                  package.labels.size(), classes));
  Card card{
      .text = {}, .decoder = "classification", .score_threshold = 0.1F, .iou_threshold = 0.5F, .max_detections = 5};
  if (yolox)
    card = {.text = {}, .decoder = "yolox", .score_threshold = 0.4F, .iou_threshold = 0.45F, .max_detections = 50};
  const auto fit = picture_fit(task.head.kind);
  // Strings of JSON are strings of YAML.
  card.text = std::format(
      "name: {}\nversion: {}\ninput:\n  width_px: {}\n  height_px: {}\n  letterbox: {}\n{}  color: {}\ndecoder:\n"
      "  type: {}\n  score_threshold: {}\n{}  max_detections: {}\n",
      nlohmann::json(package.name).dump(), nlohmann::json(package.version).dump(), input[2], input[1],
      yolox && fit.letterbox, yolox ? std::format("  pad_value: {}\n", fit.pad) : "", task.bgr ? "bgr" : "rgb",
      card.decoder, card.score_threshold, yolox ? std::format("  iou_threshold: {}\n", card.iou_threshold) : "",
      card.max_detections);
  if (!package.labels.empty()) card.text += std::format("labels: {}\n", nlohmann::json(package.labels).dump());
  return card;
}

}  // namespace wayside::optimizer
