// SPDX-License-Identifier: Apache-2.0
// ONNX's ConvTranspose (internal to import/).
#pragma once

#include "optimizer/import/onnx_importer.h"

namespace wayside::optimizer::onnx_import {

/// As a convolution for all places of a stride at once, then movement that puts them side by side. Errors: unsupported
/// (groups, dilation, output_shape, auto_pad SAME), corrupt.
[[nodiscard]] base::Result<void> conv_transpose(Importer& importer, const Node& node);

}  // namespace wayside::optimizer::onnx_import
