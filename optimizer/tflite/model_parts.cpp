// SPDX-License-Identifier: Apache-2.0
// Each kind of part has a map from its contents to where it was put.
#include "optimizer/tflite/model_parts.h"

#include <format>

namespace wayside::optimizer::tflite {

ModelParts::ModelParts() {
  buffers_.push_back(schema::CreateBuffer(out_));  // buffer 0 is empty by convention: "computed at run time"
}

std::uint32_t ModelParts::add_buffer(const void* data, std::size_t size_bytes) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  const auto [entry, fresh] =
      buffer_of_.try_emplace({bytes, bytes + size_bytes}, static_cast<std::uint32_t>(buffers_.size()));
  if (fresh) {
    constexpr std::size_t kAlignment = 16;
    out_.ForceVectorAlignment(size_bytes, 1, kAlignment);
    const auto vector = out_.CreateVector(bytes, size_bytes);
    buffers_.push_back(schema::CreateBuffer(out_, vector));
  }
  return entry->second;
}

ModelParts::Quantization ModelParts::quantization(const std::vector<float>& scale, std::int64_t zero_point,
                                                  int dimension) {
  const auto [entry, fresh] = quantization_of_.try_emplace({scale, zero_point, dimension});
  if (!fresh) return entry->second;
  const std::vector<std::int64_t> zero_points(scale.size(), zero_point);  // runtimes want as many as there are scales
  const auto [zeros, new_zeros] = zero_points_of_.try_emplace(zero_points);
  if (new_zeros) zeros->second = out_.CreateVector(zero_points);
  const auto scales = out_.CreateVector(scale);
  entry->second = schema::CreateQuantizationParameters(out_, 0, 0, scales, zeros->second, 0, dimension);
  return entry->second;
}

std::int32_t ModelParts::add_tensor(const std::vector<std::int32_t>& shape, schema::TensorType type,
                                    std::uint32_t buffer, const std::string& name, Quantization quantization) {
  const auto dimensions = numbers(shape);
  const auto text = out_.CreateSharedString(name);
  tensors_.push_back(schema::CreateTensor(out_, dimensions, type, buffer, text, quantization));
  return static_cast<std::int32_t>(tensors_.size()) - 1;
}

std::int32_t ModelParts::add_constant(const std::vector<std::int32_t>& shape, schema::TensorType type,
                                      std::uint32_t buffer, std::string_view role, Quantization quantization) {
  const auto [entry, fresh] =
      constant_of_.try_emplace({shape, type, buffer, quantization.o}, static_cast<std::int32_t>(tensors_.size()));
  if (fresh) add_tensor(shape, type, buffer, std::format("{}{}", role, tensors_.size()), quantization);
  return entry->second;
}

flatbuffers::Offset<flatbuffers::Vector<std::int32_t>> ModelParts::numbers(const std::vector<std::int32_t>& values) {
  const auto [entry, fresh] = numbers_of_.try_emplace(values);
  if (fresh) entry->second = out_.CreateVector(values);
  return entry->second;
}

std::uint32_t ModelParts::code_index(const OperatorId& id) {
  const auto [entry, fresh] = code_of_.try_emplace(id, static_cast<std::uint32_t>(codes_.size()));
  if (fresh)
    codes_.push_back(schema::CreateOperatorCode(out_, static_cast<std::int8_t>(id.code), 0, id.version, id.code));
  return entry->second;
}

std::vector<std::uint8_t> ModelParts::finish(Offset<schema::SubGraph> graph, const std::string& description) {
  const std::vector<Offset<schema::SubGraph>> graphs{graph};
  constexpr unsigned kSchemaVersion = 3;
  const auto model = schema::CreateModelDirect(out_, kSchemaVersion, &codes_, &graphs, description.c_str(), &buffers_);
  schema::FinishModelBuffer(out_, model);
  return {out_.GetBufferPointer(), out_.GetBufferPointer() + out_.GetSize()};
}

}  // namespace wayside::optimizer::tflite
