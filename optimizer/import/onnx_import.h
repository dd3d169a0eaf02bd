// SPDX-License-Identifier: Apache-2.0
// From the untrusted bytes of a float or QDQ ONNX model to a Graph.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

inline constexpr std::size_t kMaxOnnxBytes = std::size_t{512} << 20;
inline constexpr int kLeastOpset = 7, kMostOpset = 22;

/// Reads a float (or QDQ) model with fixed shapes, weights within the file, opsets kLeastOpset..kMostOpset. A free
/// first dimension of an input is taken as a batch of 1.
///
/// Layout: every tensor that has rank 4 in ONNX (NCHW) is NHWC in the graph, inputs and outputs too; others are as they
/// are. Operators that depend on ONNX's order of axes get transposes around them, which passes/ removes. Batch
/// normalisation becomes mul and add with constants. Integer calculations of shapes are done here.
///
/// QDQ models are float models with QuantizeLinear and DequantizeLinear in between: their weights become real numbers,
/// and the ranges of their 8-bit activations are kept in ir::Tensor::low and high (as in import_tflite()).
///
/// Errors: corrupt (not ONNX, or indices, types and sizes that do not fit), unsupported (names node, operator and the
/// nearest supported form), exhausted (a bound was reached).
[[nodiscard]] base::Result<ir::Graph> import_onnx(std::span<const std::uint8_t> bytes);
/// The same from a file. Errors: also not_found, io; each names the file.
[[nodiscard]] base::Result<ir::Graph> import_onnx(const std::filesystem::path& path);

}  // namespace wayside::optimizer
