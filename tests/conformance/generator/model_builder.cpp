// SPDX-License-Identifier: Apache-2.0
// ModelBuilder: small .tflite models for the golden generator.
#include "tests/conformance/generator/model_builder.h"

#include <cstring>
#include <memory>
#include <utility>

namespace wayside::conformance {

Quant quant(double scale, std::int64_t zero_point) { return {{static_cast<float>(scale)}, {zero_point}, 0}; }

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const auto dim : shape) count *= dim;
  return count;
}

std::int64_t lowest(tflite::TensorType type) { return type == tflite::TensorType_UINT8 ? 0 : -128; }
std::int64_t highest(tflite::TensorType type) { return type == tflite::TensorType_UINT8 ? 255 : 127; }
std::string type_name(tflite::TensorType type) {
  switch (type) {
    case tflite::TensorType_UINT8: return "u8";
    case tflite::TensorType_INT8: return "i8";
    case tflite::TensorType_FLOAT32: return "f32";
    default: return "other";
  }
}

ModelBuilder::ModelBuilder() {
  model_.version = 3;
  model_.description = "golden";
  model_.buffers.push_back(std::make_unique<tflite::BufferT>());  // buffer 0 is empty by convention
  model_.subgraphs.push_back(std::make_unique<tflite::SubGraphT>());
  graph_ = model_.subgraphs.front().get();
}

std::int32_t ModelBuilder::activation(tflite::TensorType type, Shape shape, const Quant& quantisation) {
  auto tensor = std::make_unique<tflite::TensorT>();
  tensor->type = type;
  tensor->shape = std::move(shape);
  tensor->name = "t" + std::to_string(graph_->tensors.size());
  if (!quantisation.scales.empty()) {
    tensor->quantization = std::make_unique<tflite::QuantizationParametersT>();
    tensor->quantization->scale = quantisation.scales;
    tensor->quantization->zero_point = quantisation.zero_points;
    tensor->quantization->quantized_dimension = quantisation.axis;
  }
  graph_->tensors.push_back(std::move(tensor));
  return static_cast<std::int32_t>(graph_->tensors.size()) - 1;
}

std::int32_t ModelBuilder::input(tflite::TensorType type, Shape shape, const Quant& quantisation) {
  const auto index = activation(type, std::move(shape), quantisation);
  graph_->inputs.push_back(index);
  return index;
}

std::int32_t ModelBuilder::constant(tflite::TensorType type, Shape shape, std::vector<std::uint8_t> bytes,
                                    const Quant& quantisation) {
  const auto index = activation(type, std::move(shape), quantisation);
  auto buffer = std::make_unique<tflite::BufferT>();
  buffer->data = std::move(bytes);
  model_.buffers.push_back(std::move(buffer));
  graph_->tensors.back()->buffer = static_cast<std::uint32_t>(model_.buffers.size() - 1);
  return index;
}

std::int32_t ModelBuilder::constant_i32(Shape shape, const std::vector<std::int32_t>& values,
                                        const Quant& quantisation) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(std::int32_t));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return constant(tflite::TensorType_INT32, std::move(shape), std::move(bytes), quantisation);
}

void ModelBuilder::op(tflite::BuiltinOperator code, std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
                      tflite::BuiltinOptionsUnion options) {
  std::uint32_t index = 0;
  while (index < model_.operator_codes.size() && model_.operator_codes[index]->builtin_code != code) ++index;
  if (index == model_.operator_codes.size()) {
    auto entry = std::make_unique<tflite::OperatorCodeT>();
    entry->builtin_code = code;
    entry->deprecated_builtin_code = static_cast<std::int8_t>(code < 127 ? code : 127);
    model_.operator_codes.push_back(std::move(entry));
  }
  auto made = std::make_unique<tflite::OperatorT>();
  made->opcode_index = index;
  made->inputs = std::move(inputs);
  made->outputs = std::move(outputs);
  made->builtin_options = std::move(options);
  graph_->operators.push_back(std::move(made));
}

std::vector<std::uint8_t> ModelBuilder::finish(const std::vector<std::int32_t>& outputs) {
  graph_->outputs = outputs;
  flatbuffers::FlatBufferBuilder builder;
  tflite::FinishModelBuffer(builder, tflite::CreateModel(builder, &model_));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

std::vector<std::uint8_t> random_bytes(Random& random, std::int64_t count, std::int64_t low, std::int64_t high) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.between(low, high));
  return bytes;
}

}  // namespace wayside::conformance
