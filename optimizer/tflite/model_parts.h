// SPDX-License-Identifier: Apache-2.0
// ModelParts: buffers, tensors, scales and operator codes of a .tflite file; what is equal is stored once.
#pragma once

#include <flatbuffers/flatbuffers.h>
#include <tflite_generated.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace wayside::optimizer::tflite {

namespace schema = accel::cpu::schema;

/// Number of an operator and the version that introduced the form that is written.
/// Source: tensorflow/lite/schema/schema.fbs (BuiltinOperator) and tensorflow/lite/tools/versioning/op_version.cc.
struct OperatorId {
  int code = 0;
  int version = 1;
  auto operator<=>(const OperatorId&) const = default;
};

/// A flatbuffer may point at one vector, string or table from many places: of a layer with a hundred channels the zero
/// points alone are 800 bytes, and they are the same for every layer of that width.
class ModelParts {
 public:
  template <class T>
  using Offset = flatbuffers::Offset<T>;
  using Quantization = Offset<schema::QuantizationParameters>;

  ModelParts();
  flatbuffers::FlatBufferBuilder& out() { return out_; }

  /// Contents at multiples of 16 bytes, as the format wants them.
  std::uint32_t add_buffer(const void* data, std::size_t size_bytes);
  /// One scale for the whole tensor, or one for each place along `dimension`; the same zero point for all.
  Quantization quantization(const std::vector<float>& scale, std::int64_t zero_point, int dimension = 0);
  /// Its number. `quantization` 0: none.
  std::int32_t add_tensor(const std::vector<std::int32_t>& shape, schema::TensorType type, std::uint32_t buffer,
                          const std::string& name, Quantization quantization);
  /// What operators read and nothing computes. Named after its role and number: names are unique, but these are short.
  std::int32_t add_constant(const std::vector<std::int32_t>& shape, schema::TensorType type, std::uint32_t buffer,
                            std::string_view role, Quantization quantization = 0);
  Offset<flatbuffers::Vector<std::int32_t>> numbers(const std::vector<std::int32_t>& values);
  std::uint32_t code_index(const OperatorId& id);
  std::vector<std::uint8_t> finish(Offset<schema::SubGraph> graph, const std::string& description);
  [[nodiscard]] const std::vector<Offset<schema::Tensor>>& tensors() const { return tensors_; }

 private:
  flatbuffers::FlatBufferBuilder out_;
  std::vector<Offset<schema::Buffer>> buffers_;
  std::vector<Offset<schema::Tensor>> tensors_;
  std::vector<Offset<schema::OperatorCode>> codes_;
  std::map<std::vector<std::uint8_t>, std::uint32_t> buffer_of_;
  std::map<std::vector<std::int32_t>, Offset<flatbuffers::Vector<std::int32_t>>> numbers_of_;
  std::map<std::vector<std::int64_t>, Offset<flatbuffers::Vector<std::int64_t>>> zero_points_of_;
  struct Scales {
    std::vector<float> scale;
    std::int64_t zero_point = 0;
    int dimension = 0;
    auto operator<=>(const Scales&) const = default;
  };
  std::map<Scales, Quantization> quantization_of_;
  using Constant = std::tuple<std::vector<std::int32_t>, schema::TensorType, std::uint32_t, std::uint32_t>;
  std::map<Constant, std::int32_t> constant_of_;
  std::map<OperatorId, std::uint32_t> code_of_;
};

}  // namespace wayside::optimizer::tflite
