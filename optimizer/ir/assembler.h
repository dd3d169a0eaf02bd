// SPDX-License-Identifier: Apache-2.0
// Assembler: puts a graph together operator by operator, derives and checks every shape; for importers and passes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer::ir {

/// Bounds on what a model file may ask for; far above every model that this class of device runs.
inline constexpr std::size_t kMaxElements = std::size_t{1} << 28;
inline constexpr std::size_t kMaxOps = 16'384;

/// The shape of the operator's output. reshape, slice and resize take it from `wanted`, others derive it.
/// Errors: invalid_argument (shapes, axes or sizes that do not fit), exhausted (kMaxElements).
[[nodiscard]] base::Result<Shape> output_shape(const Op& op, const std::vector<Shape>& in, const Shape& wanted);

class Assembler {
 public:
  TensorId input(std::string name, Shape shape);
  /// `values` has as many elements as the shape.
  TensorId constant(std::string name, Shape shape, std::vector<float> values);
  /// Appends the operator (its `output` is ignored) and a new tensor. Errors: those of output_shape, exhausted
  /// (kMaxOps).
  base::Result<TensorId> append(Op op, std::string name, const Shape& wanted = {});
  void output(TensorId tensor) { graph_.outputs.push_back(tensor); }

  [[nodiscard]] const Shape& shape(TensorId id) const { return graph_.tensors[id].shape; }
  [[nodiscard]] Graph& graph() { return graph_; }
  [[nodiscard]] Graph take() { return std::move(graph_); }

 private:
  Graph graph_;
};

}  // namespace wayside::optimizer::ir
