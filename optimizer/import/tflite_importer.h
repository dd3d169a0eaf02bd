// SPDX-License-Identifier: Apache-2.0
// TfliteImporter: the state of one import from the engine's checked graph (internal to import/).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/cpu/graph.h"
#include "accel/cpu/ops/op_table.h"
#include "base/result.h"
#include "optimizer/ir/assembler.h"

namespace wayside::optimizer::tflite_import {

namespace cpu = accel::cpu;

class TfliteImporter {
 public:
  /// `model` outlives this object.
  explicit TfliteImporter(const cpu::Graph& model) : model_(model), ids_(model.tensors.size()) {}
  base::Result<ir::Graph> run();

  // ---- for the operators ----
  /// The file's tensor at this input or output of the node. Errors: corrupt (it is missing).
  base::Result<const cpu::Tensor*> tensor(const cpu::Node& node, std::size_t input) const;
  [[nodiscard]] const cpu::Tensor& result(const cpu::Node& node, std::size_t output = 0) const;
  /// The input as a tensor of the graph; constants become real numbers.
  base::Result<ir::TensorId> value(const cpu::Node& node, std::size_t input);
  /// The same with ones before its dimensions up to `rank`.
  base::Result<ir::TensorId> raised(const cpu::Node& node, std::size_t input, std::size_t rank);
  /// The real numbers of a constant input. Errors: unsupported (it is computed).
  base::Result<std::vector<float>> reals(const cpu::Node& node, std::size_t input) const;
  /// The whole numbers of a constant input of INT32.
  base::Result<std::vector<int>> wholes(const cpu::Node& node, std::size_t input) const;

  base::Result<ir::TensorId> append(ir::Op op, const cpu::Tensor& like, const ir::Shape& wanted = {});
  /// Appends with the fused activation, in the operator where it can hold it, else behind it.
  base::Result<ir::TensorId> append_activated(ir::Op op, const cpu::Node& node);
  /// The tensor is this output of the node, which has the shape that the file says (a reshape goes before where only
  /// ones differ), and its range. Errors: corrupt (another shape).
  base::Result<void> define(const cpu::Node& node, ir::TensorId id, std::size_t output = 0);
  [[nodiscard]] const ir::Shape& shape(ir::TensorId id) const { return assembler_.shape(id); }
  ir::TensorId constant(const std::string& name, ir::Shape shape, std::vector<float> values) {
    return assembler_.constant(name, std::move(shape), std::move(values));
  }

 private:
  base::Result<void> convert(const cpu::Node& node);

  const cpu::Graph& model_;
  ir::Assembler assembler_;
  std::vector<std::optional<ir::TensorId>> ids_;
};

using Handler = base::Result<void> (*)(TfliteImporter&, const cpu::Node&);
struct HandlerEntry {
  cpu::OpCode code;
  Handler handler;
};
[[nodiscard]] std::span<const HandlerEntry> layer_handlers();
[[nodiscard]] std::span<const HandlerEntry> movement_handlers();

/// Scalars are [1] in the graph.
[[nodiscard]] ir::Shape in_graph(const cpu::Shape& shape);
[[nodiscard]] std::unexpected<base::Error> unsupported(std::string what);
/// -rank..rank-1 to 0..rank-1.
[[nodiscard]] base::Result<int> wrap_axis(std::int64_t axis, std::size_t rank);

}  // namespace wayside::optimizer::tflite_import
