// SPDX-License-Identifier: Apache-2.0
// Engine beside simulation, layer by layer: tells a layer that computes something else from rounding that adds up.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer {

struct LayerAgreement {
  std::string tensor;   ///< what the layer computes
  double alone = 1;     ///< share of its values within one step, where the simulated layer gets the engine's inputs
  double together = 1;  ///< the same in the running networks: differences of all layers before it add up
  int most_steps = 0;   ///< alone: the largest difference
};

/// One entry for each operator, in order. Writes a file with every tensor as an output beside `file` for a while.
/// Errors: those of write_tflite and of the engine's loader; invalid_argument (samples of another size).
[[nodiscard]] base::Result<std::vector<LayerAgreement>> compare_layers(const Quantized& quantized,
                                                                       const std::vector<ir::Values>& samples,
                                                                       const std::filesystem::path& file);

}  // namespace wayside::optimizer
