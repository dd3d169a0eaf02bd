// SPDX-License-Identifier: Apache-2.0
// The families of heads, for make_head() alone; errors and formulas: head.h.
#pragma once

#include <string>

#include "optimizer/heads/head.h"

namespace wayside::optimizer {

/// Width and height of the only input, [1,h,w,3].
struct InputSize {
  int width_px = 0, height_px = 0;
};
[[nodiscard]] InputSize input_size(const ir::Graph& graph);
[[nodiscard]] const ir::Shape& shape_of_output(const ir::Graph& graph, std::size_t output);
/// "head yolox wants one output [1,3549,5+classes] for an input of 416x416; outputs: output [1,3549]".
[[nodiscard]] base::Error wrong_outputs(HeadKind kind, const std::string& wanted, const ir::Graph& graph);

base::Result<Head> make_ssd_head(const std::filesystem::path& priors, const ir::Graph& graph);
base::Result<Head> make_yolox_head(const ir::Graph& graph);
base::Result<Head> make_yolov8_head(const ir::Graph& graph);
base::Result<Head> make_yunet_head(const ir::Graph& graph);
base::Result<Head> make_fastestdet_head(const ir::Graph& graph);

}  // namespace wayside::optimizer
