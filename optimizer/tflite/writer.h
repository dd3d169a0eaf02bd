// SPDX-License-Identifier: Apache-2.0
// Writes a quantised graph as an ordinary full-integer .tflite flatbuffer (schema version 3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/quantize/quantized_graph.h"

namespace wayside::optimizer {

/// The bytes of the file: int8 activations, per-channel symmetric int8 or int4 weights, int32 biases.
/// `description` becomes Model.description. Errors: unsupported (not exactly one input, an operator that the engine has
/// not, padding that is neither SAME nor VALID; names the tensor).
base::Result<std::vector<std::uint8_t>> write_tflite(const QuantizedGraph& graph, const std::string& description);

/// Weights in float16, or in int8 per output channel, each behind a DEQUANTIZE; everything else is float. For other
/// runtimes: the CPU engine refuses float layers. Errors: those of write_tflite; unsupported (clip), invalid_argument
/// (another format, a batch norm that is not folded).
base::Result<std::vector<std::uint8_t>> write_weight_only(const ir::Graph& graph, WeightFormat format,
                                                          const std::string& description);

/// Writes the bytes to a temporary file beside `path` and renames it. Errors: io.
base::Result<void> save_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes);

}  // namespace wayside::optimizer
