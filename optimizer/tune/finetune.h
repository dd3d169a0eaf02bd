// SPDX-License-Identifier: Apache-2.0
// Fine-tuning: a float network teaches its pruned, factorised or quantised student on frames without labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/quantize/scheme.h"
#include "optimizer/tune/channel_groups.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

/// How the student's outputs are compared with the teacher's. mean_square: in parts of the output's own mean square, so
/// that outputs of all sizes count alike. divergence: Kullback-Leibler divergence of the softmax over channels of
/// logits, at FinetuneOptions::temperature (Hinton et al., arXiv 1503.02531).
enum class DistillLoss : std::uint8_t { mean_square, divergence };

struct FinetuneOptions {
  std::int64_t steps = 500;
  std::size_t batch_size = 8;
  /// Of Adam; rises over the first steps, then falls to nothing along a cosine. Empty: of some rates the one whose
  /// short run ends nearest to the teacher on the held-out samples; each takes an eighth of the steps more.
  std::optional<double> learning_rate{};
  std::uint64_t seed = 1;  ///< of the samples' order and variations, and of those that are held out
  bool vary = true;  ///< pictures are shifted, mirrored, brighter or darker by chance; the teacher answers them so
  DistillLoss loss = DistillLoss::mean_square;
  double temperature = 2;
  /// Of the hidden tensors, all together, against 1 of the outputs (hints: Romero et al., arXiv 1412.6550): those of
  /// the same name, and of the channels that are left where some went. 0: outputs only. Some hundred samples say little
  /// by their outputs alone.
  double feature_weight = 30;
  bool keep_zeros = false;  ///< weights that are zero at the start stay zero (sparse networks)
  Scheme scheme;            ///< quantisation-aware: what post-training quantisation chose; empty: float
  bool learn_scales =
      true;  ///< trains the scales of computed tensors (Esser et al., arXiv 1902.08153); zero points stay
  std::int64_t checkpoint_every = 100;
};

/// Which of `count` samples do not teach: one of each part of the set, as neighbours are often frames of one scene.
/// What else makes a student of samples before it is trained leaves them out too, or its measure would be worth
/// nothing.
[[nodiscard]] std::vector<std::size_t> held_out_samples(std::size_t count, std::uint64_t seed);

struct FinetuneProgress {
  std::int64_t step = 0, steps = 0;  ///< with those of the runs that choose a rate
  double loss = 0;                   ///< of this step
  double held_out = 0;               ///< HeldOut::best so far
  double spent_s = 0;                ///< in this run
  double left_s = 0;                 ///< at its mean speed
};

/// "held out 0.0123 at best"
[[nodiscard]] std::string to_string(const FinetuneProgress& progress);

struct Finetune {
  const ir::Graph* teacher = nullptr;
  ir::Graph* student = nullptr;  ///< trained in place; the same input and outputs as the teacher, no batch norm
  Samples samples;
  KeptChannels kept{};               ///< of a pruned student; without it what was pruned is not compared
  std::filesystem::path checkpoint;  ///< empty: none; read where it exists, removed at the end
  /// After every step; false stops, with a checkpoint where there is a place for it.
  std::function<bool(const FinetuneProgress&)> progress;
};

/// Losses, of the outputs alone, on a fifth of the samples that do not teach; measured before the training and then up
/// to twenty times, as the written network computes.
struct HeldOut {
  std::size_t samples = 0;
  double first = 0, best = 0, last = 0;
  std::int64_t best_step = 0;  ///< the student of this step is what is returned; 0: as it came
};

struct Finetuned {
  double first_loss = 0, last_loss = 0;  ///< means of the first and last tenth of the steps
  double learning_rate = 0;
  HeldOut held_out;
  Scheme scheme;  ///< with the learned scales; empty where the options' is
};

/// The student never ends farther from the teacher, on the held-out samples, than it came.
/// The same seed, samples and number of threads give the same student, whether or not the run was interrupted.
/// Errors, which leave the student as it was: invalid_argument (networks or samples that do not fit, fewer than 2
/// samples), bad_state (stopped: run again to go on from the checkpoint), corrupt (checkpoint damaged or of another
/// run), io.
[[nodiscard]] base::Result<Finetuned> finetune(const Finetune& run, const FinetuneOptions& options);

}  // namespace wayside::optimizer
