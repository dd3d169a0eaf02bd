// SPDX-License-Identifier: Apache-2.0
// The scripts and pages that go with a target's folder (internal to the emitter).
#pragma once

#include <string>

#include "optimizer/emit/golden.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer::emit {

/// `model`: any text; made into a name that every tool takes.
[[nodiscard]] std::string net_name(const std::string& model);

/// For the Hailo Dataflow Compiler 3.x (Python module hailo_sdk_client).
[[nodiscard]] std::string hailo_script(const std::string& model, const ir::Graph& graph, std::size_t samples);
[[nodiscard]] std::string hailo_readme(const std::string& model, std::size_t samples);
/// For RKNN-Toolkit2 1.6 to 2.3 (Python module rknn.api).
[[nodiscard]] std::string rknn_script(const std::string& model);
[[nodiscard]] std::string rknn_readme(const std::string& model);
/// For trtexec of TensorRT 8, run on the board.
[[nodiscard]] std::string tensorrt_script(const std::string& model);
[[nodiscard]] std::string tensorrt_readme(const std::string& model, const FloatGolden& golden);

}  // namespace wayside::optimizer::emit
