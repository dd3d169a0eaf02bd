// SPDX-License-Identifier: Apache-2.0
// The walk over the operators, and what quantised constants are in real numbers.
#include "optimizer/import/tflite_import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <format>
#include <limits>
#include <utility>

#include "accel/cpu/model_reader.h"
#include "optimizer/data/picture.h"
#include "optimizer/import/stated_range.h"
#include "optimizer/import/tflite_importer.h"

namespace wayside::optimizer {
namespace tflite_import {
namespace {

using accel::DType;
using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

template <class Stored>
Stored element(std::span<const std::byte> data, std::size_t index) {
  Stored value;  // constants of the file are not aligned
  std::memcpy(&value, data.data() + index * sizeof(Stored), sizeof(Stored));
  return value;
}

int least_of(DType type) { return type == DType::u8 ? 0 : type == DType::i8 ? -128 : -32'768; }

/// The value at `index` in the units of its type.
double stored_value(const cpu::Tensor& tensor, std::size_t index) {
  switch (tensor.type) {
    case DType::i8: return element<std::int8_t>(tensor.data, index);
    case DType::u8: return element<std::uint8_t>(tensor.data, index);
    case DType::i16: return element<std::int16_t>(tensor.data, index);
    case DType::i32: return element<std::int32_t>(tensor.data, index);
    case DType::f32: return static_cast<double>(element<float>(tensor.data, index));
  }
  std::unreachable();
}

/// real = scale * (stored - zero point), the scale of the channel where there is one for each.
Result<std::vector<float>> real_values(const cpu::Tensor& tensor) {
  const std::size_t count = tensor.shape.element_count();
  const bool plain = tensor.type == DType::f32 || tensor.type == DType::i32 || tensor.scales.empty();
  std::vector<float> out;
  out.reserve(count);
  std::size_t inner = 1, channels = 1;
  if (tensor.scales.size() > 1) {
    const auto axis = static_cast<std::size_t>(tensor.quantized_dimension);
    inner = tensor.shape.product(axis + 1, tensor.shape.rank());
    channels = tensor.scales.size();
  }
  for (std::size_t i = 0; i < count; ++i) {
    const double value = stored_value(tensor, i);
    const double real =
        plain ? value
              : static_cast<double>(tensor.scales[i / inner % channels]) * (value - tensor.quantization.zero_point);
    if (!std::isfinite(real)) return fail(Code::corrupt, "a constant holds a value that is no number");
    out.push_back(static_cast<float>(real));
  }
  return out;
}

ir::Activation activation_of(cpu::Activation from) {
  if (from == cpu::Activation::relu) return ir::Activation::relu;
  return from == cpu::Activation::relu6 ? ir::Activation::relu6 : ir::Activation::none;
}

Handler find_handler(cpu::OpCode code) {
  for (const auto handlers : {layer_handlers(), movement_handlers()}) {
    const auto found = std::ranges::find(handlers, code, &HandlerEntry::code);
    if (found != handlers.end()) return found->handler;
  }
  return nullptr;
}

std::string label(const cpu::Node& node, const cpu::Graph& model) {
  const auto& out = model.tensors[static_cast<std::size_t>(node.outputs.empty() ? 0 : node.outputs[0])];
  return std::format("operator {} {} \"{}\"", node.index, node.entry->name, cpu::printable(out.name));
}

}  // namespace

ir::Shape in_graph(const cpu::Shape& shape) {
  const auto dims = shape.dims();
  return dims.empty() ? ir::Shape{1} : ir::Shape(dims.begin(), dims.end());
}

std::unexpected<base::Error> unsupported(std::string what) { return fail(Code::unsupported, std::move(what)); }

Result<int> wrap_axis(std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r) return fail(Code::corrupt, std::format("axis {} of a tensor of rank {}", axis, rank));
  return static_cast<int>(axis < 0 ? axis + r : axis);
}

Result<const cpu::Tensor*> TfliteImporter::tensor(const cpu::Node& node, std::size_t input) const {
  if (input >= node.inputs.size() || node.inputs[input] < 0)
    return fail(Code::corrupt, std::format("input {} is missing", input));
  return &model_.tensors[static_cast<std::size_t>(node.inputs[input])];
}

const cpu::Tensor& TfliteImporter::result(const cpu::Node& node, std::size_t output) const {
  return model_.tensors[static_cast<std::size_t>(node.outputs[output])];
}

Result<TensorId> TfliteImporter::value(const cpu::Node& node, std::size_t input) {
  WAYSIDE_TRY(const auto* from, tensor(node, input));
  return raised(node, input, in_graph(from->shape).size());
}

Result<TensorId> TfliteImporter::raised(const cpu::Node& node, std::size_t input, std::size_t rank) {
  WAYSIDE_TRY(const auto* from, tensor(node, input));
  ir::Shape wanted = in_graph(from->shape);
  wanted.insert(wanted.begin(), rank > wanted.size() ? rank - wanted.size() : 0, 1);
  auto& id = ids_[static_cast<std::size_t>(node.inputs[input])];
  if (!id) {  // the reader saw to it that what is not computed before is constant
    WAYSIDE_TRY(auto values, real_values(*from));
    return constant(std::string(from->name), std::move(wanted), std::move(values));
  }
  if (shape(*id) == wanted) return *id;
  return append({.kind = OpKind::reshape, .inputs = {*id}}, *from, wanted);
}

Result<std::vector<float>> TfliteImporter::reals(const cpu::Node& node, std::size_t input) const {
  WAYSIDE_TRY(const auto* from, tensor(node, input));
  if (!from->is_constant())
    return unsupported(
        std::format("input \"{}\" is computed; supported is a constant there", cpu::printable(from->name)));
  return real_values(*from);
}

Result<std::vector<int>> TfliteImporter::wholes(const cpu::Node& node, std::size_t input) const {
  WAYSIDE_TRY(const auto* from, tensor(node, input));
  if (!from->is_constant() || from->type != DType::i32)
    return unsupported(std::format("input \"{}\"; supported is a constant of INT32", cpu::printable(from->name)));
  std::vector<int> out;
  for (std::size_t i = 0; i < from->shape.element_count(); ++i) out.push_back(element<std::int32_t>(from->data, i));
  return out;
}

Result<TensorId> TfliteImporter::append(Op op, const cpu::Tensor& like, const ir::Shape& wanted) {
  return assembler_.append(std::move(op), std::string(like.name), wanted);
}

Result<TensorId> TfliteImporter::append_activated(Op op, const cpu::Node& node) {
  const cpu::Tensor& like = result(node);
  const auto wanted = node.options.activation;
  const bool holds = has_weights(op.kind) || op.kind == OpKind::add || op.kind == OpKind::sub || op.kind == OpKind::mul;
  if (holds) op.activation = activation_of(wanted);
  WAYSIDE_TRY(const TensorId id, append(std::move(op), like));
  if (wanted == cpu::Activation::relu_n1_to_1)
    return append({.kind = OpKind::clip, .inputs = {id}, .alpha = -1, .beta = 1}, like);
  if (holds || wanted == cpu::Activation::none) return id;
  if (wanted == cpu::Activation::relu) return append({.kind = OpKind::relu, .inputs = {id}}, like);
  return append({.kind = OpKind::clip, .inputs = {id}, .alpha = 0, .beta = 6}, like);
}

Result<void> TfliteImporter::define(const cpu::Node& node, TensorId id, std::size_t output) {
  const cpu::Tensor& to = result(node, output);
  const ir::Shape expected = in_graph(to.shape);
  if (shape(id) != expected) {
    if (ir::element_count(shape(id)) != ir::element_count(expected))
      return fail(Code::corrupt,
                  std::format("computes {}, the file says {}", ir::to_string(shape(id)), ir::to_string(expected)));
    WAYSIDE_TRY(id, append({.kind = OpKind::reshape, .inputs = {id}}, to, expected));
  }
  if (to.type != DType::f32 && to.type != DType::i32 && to.scales.size() == 1 && to.type != DType::i16) {
    WAYSIDE_TRY(id, state_range(assembler_, id,
                                range_of(to.quantization.scale, to.quantization.zero_point, least_of(to.type))));
  }
  ids_[static_cast<std::size_t>(node.outputs[output])] = id;
  return {};
}

Result<void> TfliteImporter::convert(const cpu::Node& node) {
  if (node.outputs.empty()) return fail(Code::corrupt, "no output");
  const Handler handler = find_handler(node.entry->code);
  if (handler != nullptr) return handler(*this, node);
  return unsupported(
      node.entry->code == cpu::OpCode::transpose_conv
          ? "not supported; nearest: RESIZE_NEAREST_NEIGHBOR and CONV_2D"
          : "not supported; nearest: a form made of CONV_2D, FULLY_CONNECTED, pools, ADD, MUL and RESHAPE");
}

Result<ir::Graph> TfliteImporter::run() {
  for (const auto number : model_.inputs) {
    const auto& from = model_.tensors[static_cast<std::size_t>(number)];
    const TensorId id = assembler_.input(std::string(from.name), in_graph(from.shape));
    ids_[static_cast<std::size_t>(number)] = id;
    if (from.scales.size() != 1 || (from.type != DType::i8 && from.type != DType::u8)) continue;
    const auto range = range_of(from.quantization.scale, from.quantization.zero_point, least_of(from.type));
    assembler_.graph().tensors[id].low = range.low;
    assembler_.graph().tensors[id].high = range.high;
  }
  for (const auto& node : model_.nodes) {
    if (auto done = convert(node); !done) return std::unexpected(std::move(done.error().context(label(node, model_))));
  }
  for (const auto number : model_.outputs) {
    const auto& from = model_.tensors[static_cast<std::size_t>(number)];
    const auto id = ids_[static_cast<std::size_t>(number)];
    if (!id) return fail(Code::unsupported, std::format("output \"{}\" is a constant", cpu::printable(from.name)));
    assembler_.output(*id);
  }
  return assembler_.take();
}

}  // namespace tflite_import

base::Result<ir::Graph> import_tflite(std::span<const std::uint8_t> bytes) {
  WAYSIDE_TRY(const auto model, accel::cpu::read_model(std::as_bytes(bytes)));
  return tflite_import::TfliteImporter(model).run();
}

base::Result<ir::Graph> import_tflite(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  auto graph = import_tflite(bytes);
  if (!graph) return std::unexpected(std::move(graph.error().context(path.string())));
  return graph;
}

}  // namespace wayside::optimizer
