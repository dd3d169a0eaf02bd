// SPDX-License-Identifier: Apache-2.0
// ONNX's order of pictures (NCHW) to the graph's (NHWC), for comparing with ONNX programs.
#pragma once

#include <cstddef>
#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// `shape` is the graph's. Ranks other than 4 have one order.
inline std::vector<float> to_graph_order(const std::vector<float>& onnx, const ir::Shape& shape) {
  if (shape.size() != 4) return onnx;
  const auto channels = static_cast<std::size_t>(shape[3]), px = static_cast<std::size_t>(shape[1] * shape[2]);
  std::vector<float> out(onnx.size());
  for (std::size_t i = 0; i < onnx.size(); ++i) {
    const std::size_t n = i / (channels * px), c = i / px % channels, at = i % px;
    out[(n * px + at) * channels + c] = onnx[i];
  }
  return out;
}

/// The other way round.
inline std::vector<float> to_onnx_order(const std::vector<float>& graph, const ir::Shape& shape) {
  if (shape.size() != 4) return graph;
  const auto channels = static_cast<std::size_t>(shape[3]), px = static_cast<std::size_t>(shape[1] * shape[2]);
  std::vector<float> out(graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const std::size_t n = i / (channels * px), at = i / channels % px, c = i % channels;
    out[(n * channels + c) * px + at] = graph[i];
  }
  return out;
}

}  // namespace wayside::optimizer
