// SPDX-License-Identifier: Apache-2.0
// The only file of the emitter that sees protobuf's and libonnx's headers.
#include "optimizer/emit/onnx_file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#define ONNX_ML 1
#define ONNX_API
#define ONNX_NAMESPACE onnx
#include <onnx/onnx-ml.pb.h>
#pragma GCC diagnostic pop

namespace wayside::optimizer::emit {
namespace {

/// IR version 7 is that of opset 13 (ONNX 1.8), docs/Versioning.md of ONNX.
constexpr std::int64_t kIrVersion = 7;

void write(onnx::AttributeProto& out, const OnnxValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    out.set_type(onnx::AttributeProto::INT);
    out.set_i(*whole);
  } else if (const auto* number = std::get_if<float>(&value)) {
    out.set_type(onnx::AttributeProto::FLOAT);
    out.set_f(*number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    out.set_type(onnx::AttributeProto::STRING);
    out.set_s(*text);
  } else {
    out.set_type(onnx::AttributeProto::INTS);
    for (const auto entry : std::get<std::vector<std::int64_t>>(value)) out.add_ints(entry);
  }
}

void write(onnx::ValueInfoProto& out, const OnnxPort& port) {
  out.set_name(port.name);
  auto* tensor = out.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<std::int32_t>(OnnxType::float32));
  for (const auto dim : port.shape) tensor->mutable_shape()->add_dim()->set_dim_value(dim);
}

}  // namespace

std::vector<std::uint8_t> serialize(const OnnxFile& file) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("wayside-optimize");
  model.add_opset_import()->set_version(kOnnxOpset);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("main");
  for (const auto& node : file.nodes) {
    auto& out = *graph.add_node();
    out.set_op_type(node.op);
    out.set_name(node.name);
    for (const auto& name : node.inputs) out.add_input(name);
    for (const auto& name : node.outputs) out.add_output(name);
    for (const auto& [key, value] : node.attributes) {
      auto& attribute = *out.add_attribute();
      attribute.set_name(key);
      write(attribute, value);
    }
  }
  for (const auto& constant : file.constants) {
    auto& out = *graph.add_initializer();
    out.set_name(constant.name);
    out.set_data_type(static_cast<std::int32_t>(constant.type));
    for (const auto dim : constant.shape) out.add_dims(dim);
    out.set_raw_data(constant.bytes);
  }
  for (const auto& port : file.inputs) write(*graph.add_input(), port);
  for (const auto& port : file.outputs) write(*graph.add_output(), port);
  std::vector<std::uint8_t> bytes(model.ByteSizeLong());
  model.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

}  // namespace wayside::optimizer::emit
