// SPDX-License-Identifier: Apache-2.0
// The flatbuffer is put together with the engine's own subset of the TFLite schema.
#include "optimizer/tflite/writer.h"

#include <flatbuffers/flatbuffers.h>
#include <tflite_generated.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <map>
#include <string>
#include <system_error>
#include <utility>

namespace wayside::optimizer {
namespace {

namespace schema = accel::cpu::schema;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

/// Numbers of the operators and the versions that introduced their int8 forms.
/// Source: tensorflow/lite/schema/schema.fbs (BuiltinOperator) and tensorflow/lite/tools/versioning/op_version.cc.
struct OperatorId {
  int code = 0;
  int version = 1;
  auto operator<=>(const OperatorId&) const = default;
};
OperatorId operator_id(ir::OpKind kind) {
  switch (kind) {
    case ir::OpKind::conv: return {3, 3};
    case ir::OpKind::depthwise_conv: return {4, 3};
    case ir::OpKind::add: return {0, 2};
    case ir::OpKind::resize_nearest: return {97, 2};
    case ir::OpKind::logistic: return {14, 2};
  }
  std::unreachable();
}

schema::ActivationFunctionType activation_of(ir::Activation activation) {
  switch (activation) {
    case ir::Activation::none: return schema::ActivationFunctionType::NONE;
    case ir::Activation::relu: return schema::ActivationFunctionType::RELU;
    case ir::Activation::relu6: return schema::ActivationFunctionType::RELU6;
  }
  std::unreachable();
}

/// Collects buffers and tensors while the operators are walked.
class Writer {
 public:
  explicit Writer(const QuantizedGraph& graph) : graph_(graph) {}

  std::vector<std::uint8_t> write(const std::string& description) {
    buffers_.push_back(schema::CreateBuffer(out_));  // buffer 0 is empty by convention: "computed at run time"
    for (std::size_t i = 0; i < graph_.tensors.size(); ++i) add_activation(i);
    for (std::size_t i = 0; i < graph_.graph.ops.size(); ++i) add_operator(i);
    for (const auto id : graph_.graph.inputs) inputs_.push_back(static_cast<std::int32_t>(id));
    for (const auto id : graph_.graph.outputs) outputs_.push_back(static_cast<std::int32_t>(id));
    const auto subgraph = schema::CreateSubGraphDirect(out_, &tensors_, &inputs_, &outputs_, &operators_, "main");
    const std::vector<Offset<schema::SubGraph>> subgraphs{subgraph};
    constexpr unsigned kSchemaVersion = 3;
    const auto model =
        schema::CreateModelDirect(out_, kSchemaVersion, &codes_, &subgraphs, description.c_str(), &buffers_);
    schema::FinishModelBuffer(out_, model);
    return {out_.GetBufferPointer(), out_.GetBufferPointer() + out_.GetSize()};
  }

 private:
  void add_activation(std::size_t id) {
    const auto& tensor = graph_.graph.tensors[id];
    const std::vector<float> scale{graph_.tensors[id].scale};
    const std::vector<std::int64_t> zero{graph_.tensors[id].zero_point};
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &scale, &zero);
    add_tensor({tensor.shape.begin(), tensor.shape.end()}, schema::TensorType::INT8, 0, tensor.name, quantization);
  }

  int add_tensor(const std::vector<std::int32_t>& shape, schema::TensorType type, std::uint32_t buffer,
                 const std::string& name, Offset<schema::QuantizationParameters> quantization) {
    tensors_.push_back(schema::CreateTensorDirect(out_, &shape, type, buffer, name.c_str(), quantization));
    return static_cast<int>(tensors_.size()) - 1;
  }

  std::uint32_t add_buffer(const void* data, std::size_t size_bytes) {
    out_.ForceVectorAlignment(size_bytes, 1, 16);
    const auto bytes = out_.CreateVector(static_cast<const std::uint8_t*>(data), size_bytes);
    buffers_.push_back(schema::CreateBuffer(out_, bytes));
    return static_cast<std::uint32_t>(buffers_.size() - 1);
  }

  int add_weight(const ir::Op& op, const QuantizedWeights& weights, const std::string& name) {
    const auto channels = static_cast<std::int32_t>(weights.scale.size());
    const bool depthwise = op.kind == ir::OpKind::depthwise_conv;
    const std::int32_t per_pixel =
        depthwise ? channels : static_cast<std::int32_t>(weights.weight.size()) / (channels * op.kernel * op.kernel);
    const std::vector<std::int32_t> shape{depthwise ? 1 : channels, op.kernel, op.kernel, per_pixel};
    const std::vector<std::int64_t> zeros(weights.scale.size(), 0);
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &weights.scale, &zeros,
                                                                         0, depthwise ? 3 : 0);
    const auto buffer = add_buffer(weights.weight.data(), weights.weight.size());
    return add_tensor(shape, schema::TensorType::INT8, buffer, name + "/weight", quantization);
  }

  int add_bias(const ir::Op& op, const QuantizedWeights& weights, const std::string& name) {
    const float input_scale = graph_.tensors[op.inputs[0]].scale;
    std::vector<float> scale = weights.scale;
    for (float& s : scale) s *= input_scale;
    const std::vector<std::int64_t> zeros(scale.size(), 0);
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &scale, &zeros);
    const auto buffer = add_buffer(weights.bias.data(), weights.bias.size() * sizeof(std::int32_t));
    return add_tensor({static_cast<std::int32_t>(scale.size())}, schema::TensorType::INT32, buffer, name + "/bias",
                      quantization);
  }

  int add_output_size(const ir::Op& op, const std::string& name) {
    const auto& shape = graph_.graph.tensors[op.output].shape;
    const std::array<std::int32_t, 2> size{shape[1], shape[2]};
    const auto buffer = add_buffer(size.data(), sizeof(size));
    return add_tensor({2}, schema::TensorType::INT32, buffer, name + "/size", 0);
  }

  std::uint32_t code_index(ir::OpKind kind) {
    const OperatorId id = operator_id(kind);
    const auto [entry, fresh] = code_of_.try_emplace(id, static_cast<std::uint32_t>(codes_.size()));
    if (fresh) {
      codes_.push_back(schema::CreateOperatorCode(out_, static_cast<std::int8_t>(id.code), 0, id.version, id.code));
    }
    return entry->second;
  }

  void add_operator(std::size_t index) {
    const ir::Op& op = graph_.graph.ops[index];
    const QuantizedWeights& weights = graph_.weights[index];
    const std::string& name = graph_.graph.tensors[op.output].name;
    std::vector<std::int32_t> inputs;
    for (const auto id : op.inputs) inputs.push_back(static_cast<std::int32_t>(id));
    const auto activation = activation_of(op.activation);
    auto kind = schema::BuiltinOptions::NONE;
    Offset<void> options = 0;
    switch (op.kind) {
      case ir::OpKind::conv:
        inputs.push_back(add_weight(op, weights, name));
        inputs.push_back(add_bias(op, weights, name));
        kind = schema::BuiltinOptions::Conv2DOptions;
        options = schema::CreateConv2DOptions(out_, schema::Padding::SAME, op.stride, op.stride, activation).Union();
        break;
      case ir::OpKind::depthwise_conv:
        inputs.push_back(add_weight(op, weights, name));
        inputs.push_back(add_bias(op, weights, name));
        kind = schema::BuiltinOptions::DepthwiseConv2DOptions;
        options = schema::CreateDepthwiseConv2DOptions(out_, schema::Padding::SAME, op.stride, op.stride, 1, activation)
                      .Union();
        break;
      case ir::OpKind::add:
        kind = schema::BuiltinOptions::AddOptions;
        options = schema::CreateAddOptions(out_, activation).Union();
        break;
      case ir::OpKind::resize_nearest:
        inputs.push_back(add_output_size(op, name));
        kind = schema::BuiltinOptions::ResizeNearestNeighborOptions;
        options = schema::CreateResizeNearestNeighborOptions(out_).Union();
        break;
      case ir::OpKind::logistic: break;
    }
    const std::vector<std::int32_t> outputs{static_cast<std::int32_t>(op.output)};
    operators_.push_back(schema::CreateOperatorDirect(out_, code_index(op.kind), &inputs, &outputs, kind, options));
  }

  const QuantizedGraph& graph_;
  FlatBufferBuilder out_;
  std::vector<Offset<schema::Buffer>> buffers_;
  std::vector<Offset<schema::Tensor>> tensors_;
  std::vector<Offset<schema::Operator>> operators_;
  std::vector<Offset<schema::OperatorCode>> codes_;
  std::map<OperatorId, std::uint32_t> code_of_;
  std::vector<std::int32_t> inputs_, outputs_;
};

}  // namespace

base::Result<std::vector<std::uint8_t>> write_tflite(const QuantizedGraph& graph, const std::string& description) {
  if (graph.graph.inputs.size() != 1) {
    return base::fail(base::Code::unsupported,
                      std::format("write_tflite: {} inputs; exactly one is supported", graph.graph.inputs.size()));
  }
  return Writer(graph).write(description);
}

base::Result<void> save_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  std::filesystem::path temporary = path;
  temporary += ".part";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file)
    return base::fail(base::Code::io,
                      std::format("write {}: failed; is the folder there and writable?", temporary.string()));
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) return base::fail(base::Code::io, std::format("rename to {}: {}", path.string(), error.message()));
  return {};
}

}  // namespace wayside::optimizer
