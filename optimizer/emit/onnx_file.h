// SPDX-License-Identifier: Apache-2.0
// An ONNX model to be written, as plain structs: protobuf classes stay in onnx_file.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace wayside::optimizer::emit {

/// Of the written files; the newest that TensorRT 8.2 reads, and the first with scales per channel.
inline constexpr int kOnnxOpset = 13;

/// Numbers as in onnx.proto, TensorProto.DataType.
enum class OnnxType : std::int32_t { float32 = 1, int8 = 3, int32 = 6, int64 = 7 };

/// A constant; `bytes` are its elements row by row, little-endian.
struct OnnxTensor {
  std::string name;
  OnnxType type = OnnxType::float32;
  std::vector<std::int64_t> shape;
  std::string bytes;
};
template <class Element>
[[nodiscard]] std::string bytes_of(const std::vector<Element>& values) {
  const auto raw = std::as_bytes(std::span(values));
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

using OnnxValue = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>>;
struct OnnxNode {
  std::string op, name;
  std::vector<std::string> inputs, outputs;  ///< an empty name: left out
  std::vector<std::pair<std::string, OnnxValue>> attributes;
};

/// A float input or output of the model.
struct OnnxPort {
  std::string name;
  std::vector<std::int64_t> shape;
};

struct OnnxFile {
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> constants;
  std::vector<OnnxPort> inputs, outputs;
};

[[nodiscard]] std::vector<std::uint8_t> serialize(const OnnxFile& file);

}  // namespace wayside::optimizer::emit
