// SPDX-License-Identifier: Apache-2.0
// Trainer: the training loop of the detector: AdamW, warm-up and cosine, moving average, checkpoints that resume.
#pragma once

#include <torch/torch.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "base/result.h"
#include "optimizer/data/batch_loader.h"
#include "optimizer/detector/loss.h"
#include "optimizer/detector/network.h"
#include "optimizer/detector/train_options.h"
#include "optimizer/ir/torch_model.h"

namespace wayside::optimizer {

struct Progress {
  std::int64_t step = 0, steps = 0;
  double score_loss = 0, box_loss = 0;  ///< means since the last report
  double pictures_per_s = 0;
  double left_s = 0;
};

struct TrainRun {
  const Network* network = nullptr;
  ir::TorchModel* model = nullptr;    ///< trained in place
  ir::TorchModel* average = nullptr;  ///< receives the moving average; same graph
  std::span<const Folder> folders;
  std::filesystem::path checkpoint;  ///< written every checkpoint_every steps and at the end; read when it exists
  const std::atomic<bool>* stop = nullptr;  ///< set: write the checkpoint and return bad_state
  std::function<void(const Progress&)> report;
};

/// Runs to the last step, from the checkpoint if there is one. Errors: bad_state when stopped (run again to resume),
/// corrupt (checkpoint of another network), io.
base::Result<void> train(const TrainRun& run, const TrainOptions& options);

}  // namespace wayside::optimizer
