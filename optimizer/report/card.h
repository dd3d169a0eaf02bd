// SPDX-License-Identifier: Apache-2.0
// Card: the model card (agent/vision/model_card.h) that lets the agent run what the optimiser wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/report/package.h"
#include "optimizer/report/task.h"

namespace wayside::optimizer {

struct Card {
  std::string text;          ///< YAML
  std::string_view decoder;  ///< its type
  float score_threshold = 0, iou_threshold = 0;
  int max_detections = 0;
};

/// `graph`: the imported network. Empty for tasks whose written outputs no decoder of the agent takes (rows of numbers,
/// ssd, yolov8, yunet, fastestdet, text, embedding). Error: invalid_argument (not as many labels as classes).
base::Result<std::optional<Card>> model_card(const TaskSpec& task, const ir::Graph& graph,
                                             const PackageOptions& package);

}  // namespace wayside::optimizer
