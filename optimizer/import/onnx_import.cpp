// SPDX-License-Identifier: Apache-2.0
// The walk over the nodes, and the two orders of axes.
#include "optimizer/import/onnx_import.h"

#include <algorithm>
#include <array>
#include <format>
#include <fstream>
#include <iterator>
#include <utility>

#include "optimizer/data/picture.h"
#include "optimizer/import/onnx_importer.h"

namespace wayside::optimizer {
namespace onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

const std::vector<int> kToNhwc{0, 2, 3, 1}, kToNchw{0, 3, 1, 2};

Shape permuted(const Shape& shape, const std::vector<int>& order) {
  Shape out;
  for (const int axis : order) out.push_back(shape[static_cast<std::size_t>(axis)]);
  return out;
}

/// Scalars are [1] in the graph.
Shape in_graph(const Shape& shape) {
  if (shape.empty()) return {1};
  return shape.size() == 4 ? permuted(shape, kToNhwc) : shape;
}

std::vector<float> as_floats(const Literal& literal) {
  if (!literal.whole) return literal.floats;
  std::vector<float> out;
  for (const auto value : literal.wholes) out.push_back(static_cast<float>(value));
  return out;
}

std::vector<float> nhwc(const std::vector<float>& nchw, const Shape& s) {
  std::vector<float> out;
  out.reserve(nchw.size());
  const auto channels = static_cast<std::size_t>(s[1]),
             px = static_cast<std::size_t>(s[2]) * static_cast<std::size_t>(s[3]);
  for (std::size_t n = 0; n < static_cast<std::size_t>(s[0]); ++n) {
    for (std::size_t i = 0; i < px; ++i) {
      for (std::size_t c = 0; c < channels; ++c) out.push_back(nchw[(n * channels + c) * px + i]);
    }
  }
  return out;
}

}  // namespace

std::unexpected<base::Error> unsupported(std::string what) { return fail(Code::unsupported, std::move(what)); }

Result<int> wrap_axis(std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r) return fail(Code::corrupt, std::format("axis {} of a tensor of rank {}", axis, rank));
  return static_cast<int>(axis < 0 ? axis + r : axis);
}

int stored_axis(int axis, std::size_t rank) {
  constexpr std::array<int, 4> kPlace{0, 3, 1, 2};
  return rank == 4 ? kPlace[static_cast<std::size_t>(axis)] : axis;
}

Handler find_handler(std::string_view op) {
  for (const auto handlers : {layer_handlers(), elementwise_handlers(), movement_handlers(), quantized_handlers()}) {
    const auto* found = std::ranges::find(handlers.begin(), handlers.end(), op, &HandlerEntry::op).base();
    if (found != handlers.data() + handlers.size()) return found->handler;
  }
  return nullptr;
}

Result<Value> Importer::value(const Node& node, std::size_t index) const {
  if (!node.has_input(index)) return fail(Code::corrupt, std::format("input {} is missing", index));
  const auto found = values_.find(node.inputs[index]);
  if (found == values_.end())
    return fail(Code::corrupt, std::format("input \"{}\" is not produced before", printable(node.inputs[index])));
  return found->second;
}

Result<const Literal*> Importer::literal(const Node& node, std::size_t index) const {
  WAYSIDE_TRY(const Value found, value(node, index));
  if (found.literal == nullptr)
    return unsupported(
        std::format("input \"{}\" is computed; supported is a constant there", printable(node.inputs[index])));
  return found.literal;
}

Result<std::vector<std::int64_t>> Importer::numbers(const Node& node, std::size_t index,
                                                    const std::string& attribute) const {
  if (!node.has_input(index)) return node.wholes(attribute);
  WAYSIDE_TRY(const Literal* found, literal(node, index));
  if (!found->whole) return fail(Code::corrupt, std::format("input {} is not of whole numbers", index));
  return found->wholes;
}

Result<TensorId> Importer::stored(const Value& value, const std::string& name) {
  return raised(value, value.shape.size(), name);
}

Result<TensorId> Importer::raised(const Value& value, std::size_t rank, const std::string& name) {
  Shape shape = value.shape;
  shape.insert(shape.begin(), rank > shape.size() ? rank - shape.size() : 0, 1);
  if (value.literal != nullptr) {
    if (value.literal->size() == 0) return unsupported(std::format("constant \"{}\" is empty", printable(name)));
    auto floats = as_floats(*value.literal);
    return constant(name, in_graph(shape), shape.size() == 4 ? nhwc(floats, shape) : std::move(floats));
  }
  if (shape == value.shape) return value.tensor;
  WAYSIDE_TRY(TensorId id, append({.kind = OpKind::reshape, .inputs = {value.tensor}}, name + "/raised", shape));
  if (rank != 4) return id;
  return append({.kind = OpKind::transpose, .inputs = {id}, .axes = kToNhwc}, name + "/nhwc");
}

Result<TensorId> Importer::plain(const Value& value, const std::string& name) {
  if (value.literal != nullptr) {
    if (value.literal->size() == 0) return unsupported(std::format("constant \"{}\" is empty", printable(name)));
    return constant(name, value.shape.empty() ? Shape{1} : value.shape, as_floats(*value.literal));
  }
  if (value.shape.size() != 4) return value.tensor;
  return append({.kind = OpKind::transpose, .inputs = {value.tensor}, .axes = kToNchw}, name + "/nchw");
}

Result<void> Importer::bind(const std::string& name, Value value) {
  if (!values_.try_emplace(name, std::move(value)).second)
    return fail(Code::corrupt, std::format("\"{}\" is produced twice", printable(name)));
  return {};
}

Result<void> Importer::define(const Node& node, TensorId tensor, std::size_t output) {
  if (output >= node.outputs.size()) return {};
  Shape shape = assembler_.shape(tensor);
  if (shape.size() == 4) shape = permuted(shape, kToNchw);
  assembler_.graph().tensors[tensor].name = node.outputs[output];
  return bind(node.outputs[output], {.shape = std::move(shape), .tensor = tensor});
}

Result<void> Importer::define_plain(const Node& node, TensorId tensor, std::size_t output) {
  if (output >= node.outputs.size()) return {};
  const std::string& name = node.outputs[output];
  const Shape shape = assembler_.shape(tensor);
  if (shape.size() == 4) {
    WAYSIDE_TRY(tensor, append({.kind = OpKind::transpose, .inputs = {tensor}, .axes = kToNhwc}, name));
  }
  return bind(name, {.shape = shape, .tensor = tensor});
}

Result<void> Importer::define(const Node& node, Literal literal) {
  const std::string& name = node.outputs[0];
  const auto [place, fresh] = model_.initializers.try_emplace(name, std::move(literal));
  if (!fresh) return fail(Code::corrupt, std::format("\"{}\" is produced twice", printable(name)));
  return bind(name, {.shape = place->second.shape, .literal = &place->second});
}

Result<void> Importer::convert(const Node& node) {
  std::vector<const Literal*> constants;
  bool all = true;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.has_input(i)) {
      constants.push_back(nullptr);
      continue;
    }
    WAYSIDE_TRY(const Value in, value(node, i));
    constants.push_back(in.literal);
    all = all && in.literal != nullptr;
  }
  if (node.op == "Shape" && !constants.empty() && !all) {
    WAYSIDE_TRY(const Value in, value(node, 0));
    Literal dims{.shape = {static_cast<int>(in.shape.size())}, .whole = true, .floats = {}, .wholes = {}};
    dims.wholes.assign(in.shape.begin(), in.shape.end());
    return define(node, std::move(dims));
  }
  if (all) {
    WAYSIDE_TRY(auto result, calculate(node, constants, opset()));
    if (result) return define(node, std::move(*result));
  }
  const Handler handler = find_handler(node.op);
  if (handler == nullptr) return unsupported(std::format("operator not supported; nearest: {}", nearest_form(node.op)));
  return handler(*this, node);
}

Result<ir::Graph> Importer::run() {
  for (const auto& [name, literal] : model_.initializers) {
    WAYSIDE_CHECK(bind(name, {.shape = literal.shape, .literal = &literal}));
  }
  if (model_.inputs.empty() || model_.outputs.empty())
    return fail(Code::corrupt, "the model has no input or no output");
  for (const auto& port : model_.inputs) {
    if (ir::element_count(port.shape) > ir::kMaxElements) return fail(Code::exhausted, "an input is too large");
    const TensorId id = assembler_.input(port.name, in_graph(port.shape));
    WAYSIDE_CHECK(bind(port.name, {.shape = port.shape, .tensor = id}));
  }
  for (const Node& node : model_.nodes) {
    if (auto done = convert(node); !done) {
      return std::unexpected(
          std::move(done.error().context(std::format("node \"{}\" ({})", printable(node.name), printable(node.op)))));
    }
  }
  for (const auto& name : model_.outputs) {
    const auto found = values_.find(name);
    if (found == values_.end())
      return fail(Code::corrupt, std::format("output \"{}\" is not produced", printable(name)));
    WAYSIDE_TRY(const TensorId id, stored(found->second, name));
    if (!std::ranges::contains(assembler_.graph().inputs, id)) assembler_.graph().tensors[id].name = name;
    assembler_.output(id);
  }
  return assembler_.take();
}

}  // namespace onnx_import

base::Result<ir::Graph> import_onnx(std::span<const std::uint8_t> bytes) {
  WAYSIDE_TRY(auto model, onnx_import::read_model(bytes));
  return onnx_import::Importer(std::move(model)).run();
}

base::Result<ir::Graph> import_onnx(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  auto graph = import_onnx(bytes);
  if (!graph) return std::unexpected(std::move(graph.error().context(path.string())));
  return graph;
}

}  // namespace wayside::optimizer
