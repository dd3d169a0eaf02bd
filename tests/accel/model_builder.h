// SPDX-License-Identifier: Apache-2.0
// ModelBuilder: writes small .tflite models for tests; every part can be changed, also into nonsense, before build().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "accel/cpu/ops/op_table.h"
#include "tflite_generated.h"

namespace wayside::accel::cpu::testing {

/// Link wayside_tflite_schema to use this.
struct ModelBuilder {
  using Fbb = flatbuffers::FlatBufferBuilder;

  struct TensorSpec {
    std::string name;
    schema::TensorType type = schema::TensorType::INT8;
    std::vector<std::int32_t> shape;
    std::vector<float> scales;
    std::vector<std::int64_t> zero_points;
    std::int32_t quantized_dimension = 0;
    std::vector<std::uint8_t> data;  ///< empty: computed
    bool is_variable = false;
    std::int64_t buffer = -1;  ///< -1: the builder makes one
  };

  struct OpSpec {
    std::int32_t code = 0;
    std::vector<std::int32_t> inputs, outputs;
    schema::BuiltinOptions options_type = schema::BuiltinOptions::NONE;
    std::function<flatbuffers::Offset<void>(Fbb&)> options;
    std::string custom_name;
    std::vector<std::uint8_t> custom_options;
    std::int64_t opcode_index = -1;  ///< -1: the builder makes one
  };

  std::uint32_t version = 3;
  std::size_t subgraph_count = 1;
  std::vector<TensorSpec> tensors;
  std::vector<OpSpec> ops;
  std::vector<std::int32_t> inputs, outputs;

  std::int32_t tensor(TensorSpec spec) {
    tensors.push_back(std::move(spec));
    return static_cast<std::int32_t>(tensors.size()) - 1;
  }
  /// i8 activation with one scale.
  std::int32_t activation(std::vector<std::int32_t> shape, float scale = 0.5F, std::int64_t zero_point = 0) {
    return tensor({.name = "t" + std::to_string(tensors.size()),
                   .type = schema::TensorType::INT8,
                   .shape = std::move(shape),
                   .scales = {scale},
                   .zero_points = {zero_point},
                   .data = {}});
  }
  std::int32_t constant_i32(const std::vector<std::int32_t>& values, std::vector<std::int32_t> shape) {
    return tensor({.name = "c" + std::to_string(tensors.size()),
                   .type = schema::TensorType::INT32,
                   .shape = std::move(shape),
                   .scales = {},
                   .zero_points = {},
                   .data = bytes_of(std::span(values))});
  }
  std::int32_t constant_i32(const std::vector<std::int32_t>& values) {
    return constant_i32(values, {static_cast<std::int32_t>(values.size())});
  }
  template <class T>
  static std::vector<std::uint8_t> bytes_of(std::span<const T> values) {
    std::vector<std::uint8_t> bytes(values.size_bytes());
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }

  /// Appends an operator; `make` builds its options table with the generated Create... function.
  template <class Make>
  OpSpec& op(OpCode code, std::vector<std::int32_t> in, std::vector<std::int32_t> out, schema::BuiltinOptions type,
             Make make) {
    ops.push_back({.code = static_cast<std::int32_t>(code),
                   .inputs = std::move(in),
                   .outputs = std::move(out),
                   .options_type = type,
                   .options = [make](Fbb& fbb) { return make(fbb).Union(); }});
    return ops.back();
  }
  OpSpec& op(OpCode code, std::vector<std::int32_t> in, std::vector<std::int32_t> out) {
    ops.push_back({.code = static_cast<std::int32_t>(code), .inputs = std::move(in), .outputs = std::move(out)});
    return ops.back();
  }
  OpSpec& custom(std::string name, std::vector<std::int32_t> in, std::vector<std::int32_t> out,
                 std::vector<std::uint8_t> options = {}) {
    op(OpCode::custom, std::move(in), std::move(out));
    ops.back().custom_name = std::move(name);
    ops.back().custom_options = std::move(options);
    return ops.back();
  }

  [[nodiscard]] std::vector<std::byte> build() const {
    Fbb fbb;
    std::vector<flatbuffers::Offset<schema::Buffer>> buffers = {schema::CreateBuffer(fbb)};  // 0 is empty by convention
    std::vector<flatbuffers::Offset<schema::Tensor>> tensor_offsets;
    for (const auto& spec : tensors) tensor_offsets.push_back(write_tensor(fbb, spec, buffers));
    std::vector<flatbuffers::Offset<schema::OperatorCode>> codes;
    std::vector<flatbuffers::Offset<schema::Operator>> op_offsets;
    for (const auto& spec : ops) op_offsets.push_back(write_op(fbb, spec, codes));
    const auto tensor_vector = fbb.CreateVector(tensor_offsets);
    const auto op_vector = fbb.CreateVector(op_offsets);
    const auto input_vector = fbb.CreateVector(inputs);
    const auto output_vector = fbb.CreateVector(outputs);
    std::vector<flatbuffers::Offset<schema::SubGraph>> subgraphs(
        subgraph_count, schema::CreateSubGraph(fbb, tensor_vector, input_vector, output_vector, op_vector));
    const auto code_vector = fbb.CreateVector(codes);
    const auto subgraph_vector = fbb.CreateVector(subgraphs);
    const auto buffer_vector = fbb.CreateVector(buffers);
    fbb.Finish(schema::CreateModel(fbb, version, code_vector, subgraph_vector, 0, buffer_vector),
               schema::ModelIdentifier());
    const auto* data = reinterpret_cast<const std::byte*>(fbb.GetBufferPointer());
    return {data, data + fbb.GetSize()};
  }

 private:
  static flatbuffers::Offset<schema::Tensor> write_tensor(Fbb& fbb, const TensorSpec& spec,
                                                          std::vector<flatbuffers::Offset<schema::Buffer>>& buffers) {
    std::uint32_t buffer = 0;
    if (!spec.data.empty()) {
      fbb.ForceVectorAlignment(spec.data.size(), 1, 16);
      buffers.push_back(schema::CreateBuffer(fbb, fbb.CreateVector(spec.data)));
      buffer = static_cast<std::uint32_t>(buffers.size()) - 1;
    }
    if (spec.buffer >= 0) buffer = static_cast<std::uint32_t>(spec.buffer);
    flatbuffers::Offset<schema::QuantizationParameters> quantization = 0;
    if (!spec.scales.empty() || !spec.zero_points.empty()) {
      const auto scales = fbb.CreateVector(spec.scales);
      const auto zero_points = fbb.CreateVector(spec.zero_points);
      quantization = schema::CreateQuantizationParameters(fbb, 0, 0, scales, zero_points, 0, spec.quantized_dimension);
    }
    const auto shape = fbb.CreateVector(spec.shape);
    const auto name = fbb.CreateString(spec.name);
    return schema::CreateTensor(fbb, shape, spec.type, buffer, name, quantization, spec.is_variable);
  }

  static flatbuffers::Offset<schema::Operator> write_op(Fbb& fbb, const OpSpec& spec,
                                                        std::vector<flatbuffers::Offset<schema::OperatorCode>>& codes) {
    constexpr std::int32_t kOldFieldMax = 127;
    const auto custom_name = spec.custom_name.empty() ? 0 : fbb.CreateString(spec.custom_name);
    codes.push_back(schema::CreateOperatorCode(fbb, static_cast<std::int8_t>(std::min(spec.code, kOldFieldMax)),
                                               custom_name, 1, spec.code));
    const auto index = spec.opcode_index >= 0 ? static_cast<std::uint32_t>(spec.opcode_index)
                                              : static_cast<std::uint32_t>(codes.size()) - 1;
    const auto options = spec.options ? spec.options(fbb) : flatbuffers::Offset<void>(0);
    const auto in = fbb.CreateVector(spec.inputs);
    const auto out = fbb.CreateVector(spec.outputs);
    const auto custom = spec.custom_options.empty() ? flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>>(0)
                                                    : fbb.CreateVector(spec.custom_options);
    return schema::CreateOperator(fbb, index, in, out, spec.options_type, options, custom);
  }
};

/// CONV_2D 3x3 -> AVERAGE_POOL_2D -> RESHAPE -> FULLY_CONNECTED -> SOFTMAX on i8 [1,4,4,2]; output [1,3].
/// Tensors 0 input, 1 conv weights (per channel), 2 conv bias, 3 conv out, 4 pooled, 5 new shape, 6 flat, 7 dense
/// weights, 8 logits, 9 probabilities.
[[nodiscard]] inline ModelBuilder small_model() {
  using schema::BuiltinOptions;
  ModelBuilder model;
  const auto pattern = [](std::size_t count) {
    std::vector<std::uint8_t> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + 11);
    return bytes;
  };
  const auto input = model.activation({1, 4, 4, 2}, 0.02F, -1);
  const auto weights = model.tensor({.name = "conv/weights",
                                     .shape = {4, 3, 3, 2},
                                     .scales = {0.01F, 0.02F, 0.015F, 0.005F},
                                     .zero_points = {0, 0, 0, 0},
                                     .data = pattern(72)});
  const auto bias = model.constant_i32({100, -200, 300, 0});
  const auto conv = model.activation({1, 4, 4, 4}, 0.05F, 3);
  const auto pooled = model.activation({1, 2, 2, 4}, 0.05F, 3);
  const auto new_shape = model.constant_i32({-1, 16});
  const auto flat = model.activation({1, 16}, 0.05F, 3);
  const auto dense = model.tensor(
      {.name = "dense/weights", .shape = {3, 16}, .scales = {0.01F}, .zero_points = {0}, .data = pattern(48)});
  const auto logits = model.activation({1, 3}, 0.1F, 0);
  const auto probabilities = model.activation({1, 3}, 1.0F / 256, -128);
  model.op(OpCode::conv_2d, {input, weights, bias}, {conv}, BuiltinOptions::Conv2DOptions, [](auto& fbb) {
    return schema::CreateConv2DOptions(fbb, schema::Padding::SAME, 1, 1, schema::ActivationFunctionType::RELU6);
  });
  model.op(OpCode::average_pool_2d, {conv}, {pooled}, BuiltinOptions::Pool2DOptions,
           [](auto& fbb) { return schema::CreatePool2DOptions(fbb, schema::Padding::VALID, 2, 2, 2, 2); });
  model.op(OpCode::reshape, {pooled, new_shape}, {flat});
  model.op(OpCode::fully_connected, {flat, dense, -1}, {logits}, BuiltinOptions::FullyConnectedOptions,
           [](auto& fbb) { return schema::CreateFullyConnectedOptions(fbb); });
  model.op(OpCode::softmax, {logits}, {probabilities}, BuiltinOptions::SoftmaxOptions,
           [](auto& fbb) { return schema::CreateSoftmaxOptions(fbb, 1.0F); });
  model.inputs = {input};
  model.outputs = {probabilities};
  return model;
}

}  // namespace wayside::accel::cpu::testing
