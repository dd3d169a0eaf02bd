// SPDX-License-Identifier: Apache-2.0
// The whole way from a float model to measured INT8 variants: import, passes, calibration, choice, report.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/quantize/ptq.h"
#include "optimizer/report/budget.h"
#include "optimizer/report/package.h"
#include "optimizer/report/shrink.h"
#include "optimizer/report/task.h"
#include "optimizer/report/variant.h"
#include "optimizer/tune/finetune.h"

namespace wayside::optimizer {

struct OptimizeOptions {
  std::filesystem::path model;        ///< .onnx or .tflite, float or quantised
  std::filesystem::path calibration;  ///< samples without labels, see Task::load
  std::filesystem::path evaluation;   ///< labelled samples
  std::filesystem::path out;          ///< folder for NAME.CHAIN.tflite (.yaml: its card), NAME.md, .json, .svg
  TaskSpec task;
  /// Of each channel of the input, in the network's order: its first step becomes (x - mean) / deviation, so that it
  /// takes pictures as cameras give them (0..255). Empty: none; one number: for all channels.
  std::vector<float> mean, deviation;
  std::size_t calibration_limit = 256;  ///< at most so many samples, evenly spaced
  std::vector<PtqOptions> chains;       ///< in this order, cheapest first
  Budget budget;
  /// Instead of `chains`: gives as many layers four-bit weights as the budget bears, the least sensitive first; each
  /// step is measured, and the smallest variant within the budget is chosen.
  bool mixed = false;
  bool first_that_fits = false;  ///< stops at the first chain within the budget; else all are measured
  /// Quantisation-aware training of the most accurate chain on the calibration samples, the float network teaches; with
  /// first_that_fits only when no chain is within the budget. Goes on from OUT/NAME.CHAIN.checkpoint after a stop.
  std::optional<FinetuneOptions> training;
  std::optional<ShrinkOptions> shrink;  ///< the chains quantise a smaller network
  /// The float network's answers on the evaluation samples, which need no labels, are taken for the truth: scores tell
  /// how often the others answer alike, nothing of how often that is right.
  bool agreement = false;
  bool any_domain = false;  ///< calibrates although the two sets are of different kinds
  /// Folders in OUT/NAME.targets, made of the chosen variant; of the most accurate one when none is within the budget.
  std::vector<emit::Target> targets;
  bool weight_only = false;  ///< also rows and files with float16 weights and with int8 weights and float activations
  bool profile = false;      ///< also NAME.CHAIN.profile.txt and .html, of the same variant as the targets
  PackageOptions package;    ///< written when its `out` is named and a variant is within the budget
};

/// "mse+equalised+bias"
[[nodiscard]] std::string name_of(const PtqOptions& chain);
/// What the accuracy-aware loop tries, cheapest first. A chain with AdaRound is left out where the same one without it
/// misses more than the accuracy.
[[nodiscard]] std::vector<PtqOptions> ladder();
/// Each range method plain, then what equalisation and bias correction add.
[[nodiscard]] std::vector<PtqOptions> all_chains();

/// Called with what is being done, after ": " how it stands, and the share done; false stops.
using OptimizeProgress = std::function<bool(const std::string& what, double done)>;

/// Measures the chains and writes models and report. The report's chosen variant is the most accurate of those within
/// the budget, the smaller one first where they are equal; -1 when there is none. Errors: those of import and passes,
/// invalid_argument (too few samples, another domain; names both sets), bad_state (stopped), io.
[[nodiscard]] base::Result<Report> optimize(const OptimizeOptions& options, const OptimizeProgress& progress);

}  // namespace wayside::optimizer
