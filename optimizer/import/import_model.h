// SPDX-License-Identifier: Apache-2.0
// Any model file that the optimiser reads, by the ending of its name.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// .onnx (float or QDQ) or .tflite (float or INT8). Errors: those of import_onnx() and import_tflite(), unsupported
/// (another ending).
[[nodiscard]] base::Result<ir::Graph> import_model(const std::filesystem::path& path);

}  // namespace wayside::optimizer
