// SPDX-License-Identifier: Apache-2.0
// Recipe: everything that decides what a training gives, read from one YAML file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/data/dataset.h"
#include "optimizer/detector/network.h"
#include "optimizer/detector/train_options.h"
#include "optimizer/quantize/calibration.h"

namespace wayside::optimizer {

/// Labelled pictures to measure on.
struct EvaluationSpec {
  std::string name;
  FolderSpec folder;
  ClassMap merge;          ///< classes that the labels do not tell apart (e.g. truck -> car), for truth and detections
  double min_side_px = 0;  ///< objects smaller than this in the network's input neither count nor harm
};

struct Recipe {
  std::string name, version;
  std::vector<std::string> labels;
  NetworkOptions network;
  TrainOptions train;
  TrainOptions fine_tune;  ///< quantisation-aware; steps 0: none
  std::vector<FolderSpec> training;
  std::vector<FolderSpec> calibration;
  std::size_t calibration_pictures = 256;
  RangeMethod calibration_method = RangeMethod::average;
  std::vector<EvaluationSpec> evaluation;
};

/// Reads a recipe; folders are relative to `data`. Errors: not_found, corrupt, invalid_argument; each names the file
/// and the line or key.
base::Result<Recipe> load_recipe(const std::filesystem::path& path, const std::filesystem::path& data);

}  // namespace wayside::optimizer
