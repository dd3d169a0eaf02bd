// SPDX-License-Identifier: Apache-2.0
// The only file that sees protobuf's and libonnx's headers.
#include "optimizer/import/onnx_model.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#define ONNX_ML 1
#define ONNX_API
#define ONNX_NAMESPACE onnx
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx-ml.pb.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <format>
#include <limits>

#include "base/plain_line.h"

#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/assembler.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Proto = onnx::TensorProto;

Result<Shape> read_shape(const Proto& proto) {
  Shape shape;
  std::size_t count = 1;
  for (const std::int64_t dim : proto.dims()) {
    if (dim < 0 || dim > static_cast<std::int64_t>(ir::kMaxElements) || shape.size() == ir::kMaxRank)
      return fail(Code::corrupt,
                  std::format("constant \"{}\": dimension {} or rank out of range", printable(proto.name()), dim));
    shape.push_back(static_cast<int>(dim));
    count *= static_cast<std::size_t>(dim);
    if (count > ir::kMaxElements)
      return fail(Code::exhausted, std::format("constant \"{}\" is too large", printable(proto.name())));
  }
  return shape;
}

/// Values come either as little-endian bytes or in a list of their type's field.
template <class Stored, class List, class Out>
bool unpack(const std::string& raw, const List& list, std::size_t count, std::vector<Out>& out) {
  static_assert(std::endian::native == std::endian::little);
  out.reserve(count);
  if (!raw.empty() || count == 0) {
    if (raw.size() != count * sizeof(Stored)) return false;
    for (std::size_t i = 0; i < count; ++i) {
      Stored value;
      std::memcpy(&value, raw.data() + i * sizeof(Stored), sizeof(Stored));
      out.push_back(static_cast<Out>(value));
    }
    return true;
  }
  if (static_cast<std::size_t>(list.size()) != count) return false;
  for (const auto value : list) out.push_back(static_cast<Out>(static_cast<Stored>(value)));
  return true;
}

Result<Literal> read_literal(const Proto& proto) {
  Literal literal;
  WAYSIDE_TRY(literal.shape, read_shape(proto));
  if (proto.data_location() == Proto::EXTERNAL)
    return fail(Code::unsupported,
                std::format("constant \"{}\" lies in another file; save the model with its weights inside",
                            printable(proto.name())));
  const std::size_t count = ir::element_count(literal.shape);
  const std::string& raw = proto.raw_data();
  bool fits = false;
  literal.whole = true;
  switch (proto.data_type()) {
    case Proto::FLOAT:
      literal.whole = false;
      fits = unpack<float>(raw, proto.float_data(), count, literal.floats);
      break;
    case Proto::DOUBLE:
      literal.whole = false;
      fits = unpack<double>(raw, proto.double_data(), count, literal.floats);
      break;
    case Proto::INT64: fits = unpack<std::int64_t>(raw, proto.int64_data(), count, literal.wholes); break;
    case Proto::INT32: fits = unpack<std::int32_t>(raw, proto.int32_data(), count, literal.wholes); break;
    case Proto::INT8:
      literal.least = std::numeric_limits<std::int8_t>::min();
      fits = unpack<std::int8_t>(raw, proto.int32_data(), count, literal.wholes);
      break;
    case Proto::UINT8:
    case Proto::BOOL: fits = unpack<std::uint8_t>(raw, proto.int32_data(), count, literal.wholes); break;
    default:
      return fail(
          Code::unsupported,
          std::format("constant \"{}\" has the element type {}; float32, int8, uint8, int32 and int64 are supported",
                      printable(proto.name()), proto.data_type()));
  }
  if (!fits)
    return fail(Code::corrupt, std::format("constant \"{}\" has not {} values", printable(proto.name()), count));
  if (std::ranges::any_of(literal.floats, [](float value) { return !std::isfinite(value); }))
    return fail(Code::corrupt, std::format("constant \"{}\" holds a value that is no number", printable(proto.name())));
  return literal;
}

Result<Attribute> read_attribute(const onnx::AttributeProto& proto) {
  Attribute out{.i = proto.i(), .f = proto.f(), .s = proto.s(), .ints = {}, .floats = {}, .tensor = {}};
  out.ints.assign(proto.ints().begin(), proto.ints().end());
  out.floats.assign(proto.floats().begin(), proto.floats().end());
  if (proto.has_t()) {
    WAYSIDE_TRY(out.tensor, read_literal(proto.t()));
  }
  return out;
}

Result<Node> read_node(const onnx::NodeProto& proto) {
  constexpr int kMostPorts = 1024;
  Node node{.name = proto.name(), .op = proto.op_type(), .inputs = {}, .outputs = {}, .attributes = {}};
  const bool standard = proto.domain().empty() || proto.domain() == "ai.onnx";
  if (!standard || proto.input_size() > kMostPorts || proto.output_size() > kMostPorts || proto.output_size() == 0) {
    return fail(
        Code::unsupported,
        std::format("node \"{}\": operator {} of domain \"{}\" is not supported; export with standard operators",
                    printable(node.name), printable(node.op), printable(proto.domain())));
  }
  node.inputs.assign(proto.input().begin(), proto.input().end());
  node.outputs.assign(proto.output().begin(), proto.output().end());
  if (node.name.empty()) node.name = node.outputs[0];
  for (const auto& attribute : proto.attribute()) {
    WAYSIDE_TRY(node.attributes[attribute.name()], read_attribute(attribute));
  }
  return node;
}

Result<Port> read_port(const onnx::ValueInfoProto& proto) {
  Port port{.name = proto.name(), .shape = {}};
  const auto& type = proto.type().tensor_type();
  if (type.elem_type() != Proto::FLOAT)
    return fail(Code::unsupported, std::format("input \"{}\" is not float32", printable(port.name)));
  for (const auto& dim : type.shape().dim()) {
    const bool free_batch = port.shape.empty() && dim.dim_value() <= 0;
    const std::int64_t value = free_batch ? 1 : dim.dim_value();
    if (value < 1 || value > (1 << 20) || port.shape.size() == ir::kMaxRank)
      return fail(Code::unsupported, std::format("input \"{}\": dimension {} is not fixed; export with a fixed size",
                                                 printable(port.name), port.shape.size()));
    port.shape.push_back(static_cast<int>(value));
  }
  return port;
}

Result<int> read_opset(const onnx::ModelProto& proto) {
  for (const auto& import : proto.opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    if (import.version() < kLeastOpset || import.version() > kMostOpset)
      return fail(Code::unsupported,
                  std::format("opset {}; supported are {} to {}", import.version(), kLeastOpset, kMostOpset));
    return static_cast<int>(import.version());
  }
  return fail(Code::corrupt, "no ONNX model: it names no opset");
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::size_t kMaxLength = 64;
  return base::plain_line(text, kMaxLength);
}

const Attribute* Node::find(const std::string& key) const {
  const auto found = attributes.find(key);
  return found == attributes.end() ? nullptr : &found->second;
}
std::int64_t Node::whole(const std::string& key, std::int64_t otherwise) const {
  const auto* found = find(key);
  return found == nullptr ? otherwise : found->i;
}
float Node::number(const std::string& key, float otherwise) const {
  const auto* found = find(key);
  return found == nullptr ? otherwise : found->f;
}
std::string Node::text(const std::string& key, const std::string& otherwise) const {
  const auto* found = find(key);
  return found == nullptr ? otherwise : found->s;
}
std::vector<std::int64_t> Node::wholes(const std::string& key) const {
  const auto* found = find(key);
  return found == nullptr ? std::vector<std::int64_t>{} : found->ints;
}

Result<Model> read_model(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kMaxOnnxBytes)
    return fail(Code::exhausted, std::format("{} bytes, at most {}", bytes.size(), kMaxOnnxBytes));
  onnx::ModelProto proto;
  google::protobuf::io::CodedInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  constexpr int kDepth = 64;
  stream.SetRecursionLimit(kDepth);
  stream.SetTotalBytesLimit(static_cast<int>(kMaxOnnxBytes));
  if (!proto.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage())
    return fail(Code::corrupt, "not an ONNX model, or a damaged one");
  Model model;
  WAYSIDE_TRY(model.opset, read_opset(proto));
  if (static_cast<std::size_t>(proto.graph().node_size()) > ir::kMaxOps)
    return fail(Code::exhausted, std::format("{} nodes, at most {}", proto.graph().node_size(), ir::kMaxOps));
  for (const auto& initializer : proto.graph().initializer()) {
    WAYSIDE_TRY(model.initializers[initializer.name()], read_literal(initializer));
  }
  for (const auto& input : proto.graph().input()) {
    if (model.initializers.contains(input.name())) continue;
    WAYSIDE_TRY(auto port, read_port(input));
    model.inputs.push_back(std::move(port));
  }
  for (const auto& node : proto.graph().node()) {
    WAYSIDE_TRY(auto read, read_node(node));
    model.nodes.push_back(std::move(read));
  }
  for (const auto& output : proto.graph().output()) model.outputs.push_back(output.name());
  return model;
}

}  // namespace wayside::optimizer::onnx_import
