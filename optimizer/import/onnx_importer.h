// SPDX-License-Identifier: Apache-2.0
// Importer: the state of one import, and the table of operators (internal to import/).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/import/onnx_model.h"
#include "optimizer/import/stated_range.h"
#include "optimizer/ir/assembler.h"

namespace wayside::optimizer::onnx_import {

/// What a name of the file stands for: a constant, or a tensor of the graph. `shape` is ONNX's; a tensor whose shape
/// has rank 4 is stored NHWC.
struct Value {
  Shape shape;
  const Literal* literal = nullptr;
  ir::TensorId tensor = 0;
};

class Importer {
 public:
  explicit Importer(Model model) : model_(std::move(model)) {}
  base::Result<ir::Graph> run();

  // ---- for the operators ----
  [[nodiscard]] int opset() const { return model_.opset; }
  base::Result<Value> value(const Node& node, std::size_t index) const;
  /// The constant at this input. Errors: unsupported when it is computed at run time.
  base::Result<const Literal*> literal(const Node& node, std::size_t index) const;
  /// Whole numbers from the input at `index` (newer opsets) or from an attribute (older ones); empty: neither.
  base::Result<std::vector<std::int64_t>> numbers(const Node& node, std::size_t index,
                                                  const std::string& attribute) const;

  /// The tensor in the graph's order (rank 4: NHWC); a constant is put into the graph.
  base::Result<ir::TensorId> stored(const Value& value, const std::string& name);
  /// The tensor in ONNX's order.
  base::Result<ir::TensorId> plain(const Value& value, const std::string& name);
  /// The tensor in the graph's order after ones were put before its dimensions up to `rank`.
  base::Result<ir::TensorId> raised(const Value& value, std::size_t rank, const std::string& name);

  base::Result<ir::TensorId> append(ir::Op op, const std::string& name, const Shape& wanted = {}) {
    return assembler_.append(std::move(op), name, wanted);
  }
  /// Names the node's output. `define` takes a tensor in the graph's order, `define_plain` one in ONNX's.
  base::Result<void> define(const Node& node, ir::TensorId tensor, std::size_t output = 0);
  base::Result<void> define_plain(const Node& node, ir::TensorId tensor, std::size_t output = 0);
  base::Result<void> define(const Node& node, Literal literal);
  /// The node's output is another name for this value.
  base::Result<void> define_same(const Node& node, Value value) { return bind(node.outputs[0], std::move(value)); }
  base::Result<ir::TensorId> state(ir::TensorId id, StatedRange range) { return state_range(assembler_, id, range); }
  [[nodiscard]] const Shape& shape(ir::TensorId id) const { return assembler_.shape(id); }
  ir::TensorId constant(const std::string& name, Shape shape, std::vector<float> values) {
    return assembler_.constant(name, std::move(shape), std::move(values));
  }

 private:
  base::Result<void> convert(const Node& node);
  base::Result<void> bind(const std::string& name, Value value);

  Model model_;
  ir::Assembler assembler_;
  std::map<std::string, Value> values_;
};

using Handler = base::Result<void> (*)(Importer&, const Node&);
struct HandlerEntry {
  std::string_view op;
  Handler handler;
};
/// nullptr: not supported.
[[nodiscard]] Handler find_handler(std::string_view op);
/// For messages: what to export instead of an operator that is not supported.
[[nodiscard]] std::string_view nearest_form(std::string_view op);

/// The result of a node all of whose inputs are constants; empty when this operator is not calculated here.
[[nodiscard]] base::Result<std::optional<Literal>> calculate(const Node& node, const std::vector<const Literal*>& in,
                                                             int opset);

// Operators, grouped by file.
[[nodiscard]] std::span<const HandlerEntry> layer_handlers();
[[nodiscard]] std::span<const HandlerEntry> elementwise_handlers();
[[nodiscard]] std::span<const HandlerEntry> movement_handlers();
[[nodiscard]] std::span<const HandlerEntry> quantized_handlers();
/// QuantizeLinear and DequantizeLinear of constants.
[[nodiscard]] base::Result<Literal> quantize_constant(const Node& node, const std::vector<const Literal*>& in);
[[nodiscard]] base::Result<Literal> dequantize_constant(const Node& node, const std::vector<const Literal*>& in);

/// "nearest supported form" errors. `what` says what is supported.
[[nodiscard]] std::unexpected<base::Error> unsupported(std::string what);
/// -rank..rank-1 to 0..rank-1.
[[nodiscard]] base::Result<int> wrap_axis(std::int64_t axis, std::size_t rank);
/// An axis of ONNX's order in the graph's order.
[[nodiscard]] int stored_axis(int axis, std::size_t rank);

}  // namespace wayside::optimizer::onnx_import
