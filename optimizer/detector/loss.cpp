// SPDX-License-Identifier: Apache-2.0
// Loss over all levels at once: cells of the levels stand one after the other.
#include "optimizer/detector/loss.h"

#include <algorithm>

namespace wayside::optimizer {
namespace {

using torch::Tensor;

/// [N,C,h,w] of the levels to [N,cells,C], float.
Tensor join(const Network& network, const std::vector<Tensor>& outputs, bool boxes) {
  std::vector<Tensor> parts;
  for (const auto& level : network.levels) {
    const Tensor& part = outputs[boxes ? level.boxes_output : level.scores_output];
    parts.push_back(part.to(torch::kFloat).permute({0, 2, 3, 1}).flatten(1, 2));
  }
  return torch::cat(parts, 1).contiguous();
}

/// x and y of the centre and the stride of each cell, px: [cells,3].
Tensor cell_table(const Network& network) {
  std::vector<float> values;
  for (const auto& level : network.levels) {
    for (int row = 0; row < level.rows; ++row) {
      for (int column = 0; column < level.columns; ++column) {
        const auto stride = static_cast<float>(level.stride);
        values.insert(values.end(), {(static_cast<float>(column) + 0.5F) * stride,
                                     (static_cast<float>(row) + 0.5F) * stride, stride});
      }
    }
  }
  return torch::tensor(values).view({-1, 3});
}

std::vector<LevelView> views(const Network& network, const Tensor& boxes, const Tensor& scores, std::int64_t picture) {
  std::vector<LevelView> out;
  const float* box = boxes[picture].data_ptr<float>();
  const float* score = scores[picture].data_ptr<float>();
  const auto classes = static_cast<std::size_t>(scores.size(2));
  for (const auto& level : network.levels) {
    const auto cells = static_cast<std::size_t>(level.rows * level.columns);
    out.push_back({level.stride, level.rows, level.columns, {box, cells * 4}, {score, cells * classes}});
    box += cells * 4;
    score += cells * classes;
  }
  return out;
}

/// Targets of a batch as tensors.
struct BatchTargets {
  Tensor score;                        ///< [N,cells,C]
  Tensor weight;                       ///< [N,cells,1]: 0 where ignored
  std::vector<std::int64_t> positive;  ///< indices into the flattened [N*cells]
  std::vector<float> box;              ///< 4 per positive, px
  std::vector<float> box_weight;       ///< 1 per positive
};

BatchTargets make_targets(const Network& network, const Tensor& boxes, const Tensor& scores,
                          std::span<const std::vector<LabelBox>> labels, const AssignOptions& options) {
  const std::int64_t cells = scores.size(1), classes = scores.size(2);
  BatchTargets out{torch::zeros_like(scores), torch::ones({scores.size(0), cells, 1}), {}, {}, {}};
  float* score = out.score.data_ptr<float>();
  float* weight = out.weight.data_ptr<float>();
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const auto picture = static_cast<std::int64_t>(n);
    const auto levels = views(network, boxes, scores, picture);
    const Targets targets = assign(levels, static_cast<int>(classes), labels[n], options);
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      const std::int32_t object = targets.object[static_cast<std::size_t>(cell)];
      const std::int64_t at = picture * cells + cell;
      if (object == -2) weight[at] = 0;
      if (object < 0) continue;
      const LabelBox& box = labels[n][static_cast<std::size_t>(object)];
      score[at * classes + box.class_id] = targets.score[static_cast<std::size_t>(cell)];
      out.positive.push_back(at);
      out.box.insert(out.box.end(), {box.x0, box.y0, box.x1, box.y1});
      out.box_weight.push_back(targets.score[static_cast<std::size_t>(cell)]);
    }
  }
  return out;
}

/// Generalised IoU of [n,4] corner boxes; degenerate predictions (x1 < x0) give a low value and a gradient.
Tensor generalised_iou(const Tensor& a, const Tensor& b) {
  const auto area = [](const Tensor& t) {
    return (t.select(1, 2) - t.select(1, 0)).clamp_min(1e-3) * (t.select(1, 3) - t.select(1, 1)).clamp_min(1e-3);
  };
  const auto low = torch::maximum(a.slice(1, 0, 2), b.slice(1, 0, 2));
  const auto high = torch::minimum(a.slice(1, 2, 4), b.slice(1, 2, 4));
  const auto common = (high - low).clamp_min(0).prod(1);
  const auto all = area(a) + area(b) - common;
  const auto hull =
      (torch::maximum(a.slice(1, 2, 4), b.slice(1, 2, 4)) - torch::minimum(a.slice(1, 0, 2), b.slice(1, 0, 2)))
          .clamp_min(1e-3)
          .prod(1);
  return common / all - (hull - all) / hull;
}

}  // namespace

Loss detector_loss(const Network& network, const std::vector<Tensor>& outputs,
                   std::span<const std::vector<LabelBox>> boxes, const LossOptions& options) {
  const Tensor distances = join(network, outputs, true);
  const Tensor logits = join(network, outputs, false);
  const Tensor probability = logits.detach().sigmoid().contiguous();
  const BatchTargets targets = make_targets(network, distances.detach(), probability, boxes, options.assign);
  const Tensor target_sum = targets.score.sum().clamp_min(1.0);

  const Tensor focal =
      torch::where(targets.score > 0, targets.score, options.focal_alpha * probability.pow(options.focal_gamma)) *
      targets.weight;
  const Tensor score_loss =
      options.score_weight *
      torch::binary_cross_entropy_with_logits(logits, targets.score, focal, {}, at::Reduction::Sum) / target_sum;

  Tensor box_loss = torch::zeros({});
  if (!targets.positive.empty()) {
    const auto index = torch::tensor(targets.positive);
    const auto cells = cell_table(network).index_select(0, index.remainder(distances.size(1)));
    const auto centre = cells.slice(1, 0, 2), stride = cells.slice(1, 2, 3);
    const auto picked = distances.flatten(0, 1).index_select(0, index) * stride;
    const auto predicted = torch::cat({centre - picked.slice(1, 0, 2), centre + picked.slice(1, 2, 4)}, 1);
    const auto wanted = torch::tensor(targets.box).view({-1, 4});
    box_loss = options.box_weight *
               ((1 - generalised_iou(predicted, wanted)) * torch::tensor(targets.box_weight)).sum() / target_sum;
  }
  return {score_loss + box_loss, score_loss.item<double>(), box_loss.item<double>()};
}

}  // namespace wayside::optimizer
