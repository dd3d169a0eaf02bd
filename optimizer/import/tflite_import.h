// SPDX-License-Identifier: Apache-2.0
// From the untrusted bytes of a float or INT8 .tflite model to a Graph in float.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// Reads what the CPU engine's reader reads (accel/cpu/model_reader.h: one subgraph, custom operators at the end are
/// cut off), with float or quantised tensors.
///
/// Quantised weights and biases become real numbers, inputs and outputs too (an INT8 picture -128..127 with scale 1 and
/// zero point -128 is 0..255 here). The range that a quantised tensor can hold is kept in ir::Tensor::low and high;
/// where it begins at 0 it cuts off like a relu (relu6 where it ends at 6), so that becomes one.
///
/// Errors: corrupt (damaged, or shapes that do not fit), unsupported (names operator, tensor and the nearest supported
/// form), exhausted (a bound was reached).
[[nodiscard]] base::Result<ir::Graph> import_tflite(std::span<const std::uint8_t> bytes);
/// The same from a file. Errors: also not_found, io; each names the file.
[[nodiscard]] base::Result<ir::Graph> import_tflite(const std::filesystem::path& path);

}  // namespace wayside::optimizer
