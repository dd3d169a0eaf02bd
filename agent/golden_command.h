// SPDX-License-Identifier: Apache-2.0
// waysided --golden: makes the golden set of a package: what a model's inputs and outputs are on frames of a camera.
#pragma once

#include <filesystem>
#include <string>

#include "agent/commands.h"

namespace wayside::agent {

struct GoldenOptions {
  std::filesystem::path model;
  std::filesystem::path card{};  ///< empty: beside the model, or derived from it
  std::filesystem::path out;     ///< folder for golden.in and golden.out
  std::string source = "synthetic:seed=7&pace=fast";
  unsigned cases = 8;
};
/// One case in kFramesApart frames. Exit code 1 when the model or
/// the camera cannot be used.
int golden_command(const GoldenOptions& options, Output output);

}  // namespace wayside::agent
