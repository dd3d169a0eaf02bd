// SPDX-License-Identifier: Apache-2.0
// One operator of a graph as ONNX nodes, and the order of axes between the two (internal to the emitter).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "optimizer/emit/onnx_file.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer::emit {

/// NHWC to NCHW where the rank is 4, else as it is.
[[nodiscard]] std::vector<std::int64_t> onnx_shape(const ir::Shape& shape);
[[nodiscard]] std::int64_t onnx_axis(int axis, std::size_t rank);
/// Elements of a tensor of this shape in ONNX's order; of weights too, whose [out,h,w,in] becomes [out,in,h,w].
template <class Element>
[[nodiscard]] std::vector<Element> onnx_order(const std::vector<Element>& values, const ir::Shape& shape) {
  if (shape.size() != 4) return values;
  const auto channels = static_cast<std::size_t>(shape[3]), px = static_cast<std::size_t>(shape[1] * shape[2]);
  std::vector<Element> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t n = i / (channels * px), at = i / channels % px, c = i % channels;
    out[(n * channels + c) * px + at] = values[i];
  }
  return out;
}

/// Shape of an operator's weight in the graph's order, as one picture for each output: [out,h,w,in]; a depthwise one
/// is [out,h,w,1]. fully_connected: [out,in], or a kernel of 1x1 where it reads a picture.
[[nodiscard]] ir::Shape weight_shape(const ir::Graph& graph, const ir::Op& op);
/// The operator's weight (any of its representations) in that shape and ONNX's order.
template <class Element>
[[nodiscard]] std::vector<Element> onnx_weight(const ir::Graph& graph, const ir::Op& op,
                                               const std::vector<Element>& weight) {
  const ir::Shape shape = weight_shape(graph, op);
  if (op.kind != ir::OpKind::depthwise_conv) return onnx_order(weight, shape);
  const std::size_t out = op.bias.size(), taps = weight.size() / out;
  std::vector<Element> turned(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) turned[i % out * taps + i / out] = weight[i];
  return turned;
}

/// Names of what an operator reads and writes. `window` is the operator's with a pad before it folded in.
struct OpPorts {
  std::vector<std::string> inputs;
  std::string weight, bias, output;
  ir::SlidingWindow window;
};

/// Appends the operator's nodes and their constants.
void write_op(OnnxFile& file, const ir::Graph& graph, const ir::Op& op, const OpPorts& ports);

}  // namespace wayside::optimizer::emit
