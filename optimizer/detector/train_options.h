// SPDX-License-Identifier: Apache-2.0
// What decides how a training runs; apart from trainer.h so that recipes are read without libtorch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "optimizer/data/augment.h"
#include "optimizer/detector/assign.h"

namespace wayside::optimizer {

/// Sources: varifocal: arXiv 2008.13367, eq. 2 (alpha 0.75, gamma 2); GIoU: arXiv 1902.09630. Both are divided by the
/// sum of target scores in the batch.
struct LossOptions {
  double score_weight = 1.0;
  double box_weight = 2.0;
  double focal_alpha = 0.75, focal_gamma = 2.0;
  AssignOptions assign;
};

struct TrainOptions {
  std::int64_t steps = 4000;
  std::size_t batch_size = 32;
  double learning_rate = 2e-3;
  std::int64_t warmup_steps = 200;
  double weight_decay = 0.02;
  double ema_decay = 0.998;      ///< weight of the past in the moving average of the parameters
  double gradient_limit = 10;    ///< norm to which the gradient is cut
  double plain_fraction = 0.15;  ///< last share of the steps, without mosaics
  bool bf16 = true;              ///< convolutions in bfloat16 (autocast); needs a CPU with AVX-512 or AMX to pay
  /// Threads, each with its share of every batch. Part of the recipe: batch norm sees one share at a time.
  std::size_t workers = 2;
  std::uint64_t seed = 1;
  std::int64_t report_every = 50;
  std::int64_t checkpoint_every = 250;
  LossOptions loss;
  AugmentOptions augment;
};

}  // namespace wayside::optimizer
