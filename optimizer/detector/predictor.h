// SPDX-License-Identifier: Apache-2.0
// Predictor: the detector on one picture, in float on libtorch or in INT8 on the device's engine; and measuring it.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "base/result.h"
#include "optimizer/data/dataset.h"
#include "optimizer/detector/decode.h"
#include "optimizer/detector/evaluate.h"
#include "optimizer/detector/network.h"
#include "optimizer/recipe.h"

namespace wayside::optimizer {

/// Head outputs of one picture as plain floats; the views point into `values`.
struct HeadOutputs {
  std::vector<std::vector<float>> values;
  std::vector<LevelView> levels;
};

class Predictor {
 public:
  virtual ~Predictor() = default;
  /// `picture` has exactly the network's size. Scores come as 0..1.
  virtual base::Result<HeadOutputs> run(const Picture& picture) = 0;
};

/// The graph in float; its scores are logits.
std::unique_ptr<Predictor> make_float_predictor(const Network& network);

/// A written model on the CPU engine; outputs are found by name (boxes_8, scores_8, ...). Errors: those of load;
/// unsupported when an output is missing.
base::Result<std::unique_ptr<Predictor>> make_engine_predictor(const std::filesystem::path& model,
                                                               const Network& network);

/// Letterboxes, runs, decodes and compares every picture of an evaluation set.
base::Result<std::vector<ClassAccuracy>> measure(Predictor& predictor, const NetworkOptions& network,
                                                 const EvaluationSpec& spec, const Folder& folder);

}  // namespace wayside::optimizer
