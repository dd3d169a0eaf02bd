// SPDX-License-Identifier: Apache-2.0
// Graph: a model as the engine sees it between reading and running: tensors, operators in order, plain options.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/accelerator.h"

namespace wayside::accel::cpu {

// Bounds on what a model file may ask for. Far above every model that this class of device runs; there to stop hostile
// files, not users.
inline constexpr std::size_t kMaxModelBytes = std::size_t{512} << 20;
inline constexpr std::size_t kMaxTensorCount = 16'384;
inline constexpr std::size_t kMaxOperatorCount = 8'192;
inline constexpr std::size_t kMaxOperatorTensors = 256;  ///< inputs, and outputs, of one operator
inline constexpr std::size_t kMaxTensorBytes = std::size_t{256} << 20;
inline constexpr std::size_t kMaxArenaBytes = std::size_t{512} << 20;
inline constexpr std::size_t kMaxWeightBytes = std::size_t{512} << 20;  ///< packed weights and constants together
inline constexpr std::uint64_t kMaxMacCount = 1'000'000'000'000;        ///< per run; YOLO-X size at 1280 px is 2.8e11

/// Dimensions of a tensor, slowest first; rank 0 is a scalar. Every dimension is positive.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int32_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  /// At most kMaxRank dimensions.
  explicit Shape(std::span<const std::int32_t> dims);

  [[nodiscard]] std::size_t rank() const { return rank_; }
  [[nodiscard]] std::int32_t operator[](std::size_t axis) const { return dims_[axis]; }
  [[nodiscard]] std::span<const std::int32_t> dims() const { return {dims_.data(), rank_}; }
  [[nodiscard]] std::size_t element_count() const { return product(0, rank_); }
  /// Product of the dimensions [first, last).
  [[nodiscard]] std::size_t product(std::size_t first, std::size_t last) const;
  /// The same elements with ones put in front up to kMaxRank dimensions.
  [[nodiscard]] std::array<std::int32_t, kMaxRank> extended() const;
  friend bool operator==(const Shape& a, const Shape& b) = default;

 private:
  std::array<std::int32_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

/// "[1,96,96,3]"
[[nodiscard]] std::string to_string(const Shape& shape);

struct Tensor {
  std::string_view name;  ///< points into the model file
  DType type = DType::i8;
  Shape shape;
  Quantization quantization;  ///< of the whole tensor, or of channel 0
  std::vector<float> scales;  ///< more than one: per channel along quantized_dimension
  std::int32_t quantized_dimension = 0;
  std::span<const std::byte> data;  ///< constant contents, unaligned; empty: computed at run time
  [[nodiscard]] bool is_constant() const { return !data.empty(); }
  [[nodiscard]] std::size_t byte_count() const { return shape.element_count() * size_bytes(type); }
};

enum class Padding : std::uint8_t { same, valid };
enum class Activation : std::uint8_t { none, relu, relu_n1_to_1, relu6 };

/// Rows and columns of zero points around a picture.
struct PicturePadding {
  std::int32_t top = 0, left = 0, bottom = 0, right = 0;
};

/// The options of all supported operators in one plain struct; each operator reads its own (names as in the format).
struct OpOptions {
  bool present = false;  ///< the file had an options table of the operator's kind
  Padding padding = Padding::same;
  Activation activation = Activation::none;
  std::int32_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, filter_h = 1, filter_w = 1;
  std::int32_t axis = 0, count = 0;  ///< count: num_splits, values_count, num
  bool keep_dims = false, align_corners = false, half_pixel_centers = false;
  std::int32_t begin_mask = 0, end_mask = 0, ellipsis_mask = 0, new_axis_mask = 0, shrink_axis_mask = 0;
  bool offset = false;              ///< STRIDED_SLICE: `end` counts from `begin`
  float alpha = 0, beta = 1;        ///< LEAKY_RELU, SOFTMAX
  PicturePadding outer;             ///< not of the file: a PAD before a window that is VALID (fold.h)
  std::vector<std::int32_t> shape;  ///< RESHAPE new_shape, SQUEEZE squeeze_dims
};

struct OpEntry;  // ops/op_table.h

/// One operator. All tensor indices are valid; inputs may hold -1 (optional input left out).
struct Node {
  std::size_t index = 0;  ///< in the file, for messages
  const OpEntry* entry = nullptr;
  std::vector<std::int32_t> inputs, outputs;
  OpOptions options;
};

/// A checked graph: nodes in an order in which every input is a constant, a graph input or produced before; every
/// tensor produced once. Borrows names and constants from the file's bytes.
struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<std::int32_t> inputs, outputs;
  std::vector<std::string> cut_ops;
  std::optional<SsdHead> ssd;
  std::vector<std::vector<std::byte>> unpacked;  ///< contents of INT4 constants as i8, which their tensors borrow
};

/// Untrusted text for one-line messages: printable ASCII, at most 64 characters.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace wayside::accel::cpu
