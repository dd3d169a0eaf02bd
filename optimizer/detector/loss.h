// SPDX-License-Identifier: Apache-2.0
// The detector's training loss: varifocal loss on scores, generalised IoU on boxes, targets by task alignment.
#pragma once

#include <torch/torch.h>

#include <span>
#include <vector>

#include "optimizer/detector/network.h"
#include "optimizer/detector/train_options.h"

namespace wayside::optimizer {

struct Loss {
  torch::Tensor total;
  double score = 0, box = 0;  ///< weighted parts of total
};

/// outputs: as Network::graph gives them, scores as logits. boxes: per picture, px of the network's input.
Loss detector_loss(const Network& network, const std::vector<torch::Tensor>& outputs,
                   std::span<const std::vector<LabelBox>> boxes, const LossOptions& options);

}  // namespace wayside::optimizer
