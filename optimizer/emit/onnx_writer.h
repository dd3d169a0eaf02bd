// SPDX-License-Identifier: Apache-2.0
// From a graph to an ONNX file: in float for the vendors' compilers, or with QuantizeLinear/DequantizeLinear pairs.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/quantize/quantized_graph.h"

namespace wayside::optimizer::emit {

/// Opset kOnnxOpset, fixed shapes, float32 inputs and outputs. Layout: a tensor of rank 4 (NHWC in the graph) is NCHW
/// in the file, others are as they are; transposes are written only around a reshape that needs the order of NHWC.
/// Names of tensors are the graph's (made unique where they are not); every node is named after its output. `graph` has
/// no batch norm. A pad of zeros goes into the convolution behind it. Errors: invalid_argument (a batch norm that is
/// not folded).
[[nodiscard]] base::Result<std::vector<std::uint8_t>> write_onnx(const ir::Graph& graph);

/// integer: scales and zero points as in the graph, biases in int32, as ONNX Runtime's integer kernels want them: its
/// outputs are those of the INT8 engine but for the rounding of ties. symmetric: zero points of 0 and biases in float,
/// which is all that TensorRT takes; scales widen where a range was lopsided (symmetric_scales()).
enum class QdqForm : std::uint8_t { integer, symmetric };

/// The same with a QuantizeLinear and a DequantizeLinear behind every computed tensor and every input, and int8 weights
/// per output channel behind a DequantizeLinear. A tensor keeps its name behind the pair. Four-bit weights are stored
/// as int8.
[[nodiscard]] base::Result<std::vector<std::uint8_t>> write_onnx(const QuantizedGraph& graph, QdqForm form);

/// Every zero point 0, the larger end of each range kept: scale * 127 covers it.
[[nodiscard]] std::vector<TensorQuantization> symmetric_scales(const std::vector<TensorQuantization>& tensors);

/// The names that write_onnx() gives the graph's tensors.
[[nodiscard]] std::vector<std::string> onnx_names(const ir::Graph& graph);

}  // namespace wayside::optimizer::emit
