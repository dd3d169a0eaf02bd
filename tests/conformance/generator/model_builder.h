// SPDX-License-Identifier: Apache-2.0
// ModelBuilder: small .tflite models, written with TFLite's own schema, for the golden generator only.
#pragma once

#include <tensorflow/lite/schema/schema_generated.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/conformance/seeded.h"

namespace wayside::conformance {

using Shape = std::vector<std::int32_t>;

/// Quantisation of a tensor; one scale per slice of `axis`, or one for all, or none (not quantised).
struct Quant {
  std::vector<float> scales;
  std::vector<std::int64_t> zero_points;
  std::int32_t axis = 0;
};
[[nodiscard]] Quant quant(double scale, std::int64_t zero_point);
[[nodiscard]] std::int64_t element_count(const Shape& shape);
/// Lowest and highest value of a TensorType_INT8 or TensorType_UINT8.
[[nodiscard]] std::int64_t lowest(tflite::TensorType type);
[[nodiscard]] std::int64_t highest(tflite::TensorType type);
[[nodiscard]] std::string type_name(tflite::TensorType type);

/// Adds tensors and operators in order; every call returns the tensor's index.
class ModelBuilder {
 public:
  ModelBuilder();
  std::int32_t activation(tflite::TensorType type, Shape shape, const Quant& quantisation);
  std::int32_t input(tflite::TensorType type, Shape shape, const Quant& quantisation);
  std::int32_t constant(tflite::TensorType type, Shape shape, std::vector<std::uint8_t> bytes,
                        const Quant& quantisation = {});
  std::int32_t constant_i32(Shape shape, const std::vector<std::int32_t>& values, const Quant& quantisation = {});
  void op(tflite::BuiltinOperator code, std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs) {
    op(code, std::move(inputs), std::move(outputs), {});
  }
  template <class Options>
  void op(tflite::BuiltinOperator code, std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
          Options options) {
    tflite::BuiltinOptionsUnion made;
    made.Set(std::move(options));
    op(code, std::move(inputs), std::move(outputs), std::move(made));
  }
  void op(tflite::BuiltinOperator code, std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
          tflite::BuiltinOptionsUnion options);
  /// Marks the model's outputs and encodes it.
  [[nodiscard]] std::vector<std::uint8_t> finish(const std::vector<std::int32_t>& outputs);

 private:
  tflite::ModelT model_;
  tflite::SubGraphT* graph_ = nullptr;
};

/// `count` seeded values of an 8-bit type in [low, high].
[[nodiscard]] std::vector<std::uint8_t> random_bytes(Random& random, std::int64_t count, std::int64_t low,
                                                     std::int64_t high);

}  // namespace wayside::conformance
