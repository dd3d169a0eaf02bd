// SPDX-License-Identifier: Apache-2.0
// Checks that many operators share.
#include "accel/cpu/ops/operator.h"

#include <algorithm>
#include <cstring>

namespace wayside::accel::cpu {

using base::Result;

Result<void> NodeView::expect_arity(std::size_t min_inputs, std::size_t max_inputs, std::size_t outputs) const {
  if (input_count() < min_inputs || input_count() > max_inputs) {
    return corrupt(
        "{} inputs, expected {}", input_count(),
        min_inputs == max_inputs ? std::to_string(min_inputs) : std::format("{} to {}", min_inputs, max_inputs));
  }
  for (std::size_t i = 0; i < min_inputs; ++i) {
    if (!has_input(i)) return corrupt("input {} is missing", i);
  }
  if (output_count() != outputs) return corrupt("{} outputs, expected {}", output_count(), outputs);
  return {};
}

Result<void> NodeView::expect_options() const {
  if (!options().present) return corrupt("its options table is missing or of another operator");
  return {};
}

Result<void> NodeView::expect_output_shape(const Shape& computed, std::size_t index) const {
  if (output(index).shape == computed) return {};
  return corrupt("output tensor {} has shape {}, computed {}", node_.outputs[index], to_string(output(index).shape),
                 to_string(computed));
}

Result<void> NodeView::expect_8bit(std::size_t in, std::size_t out) const {
  const Tensor& x = input(in);
  const Tensor& y = output(out);
  if (!is_8bit(x.type)) {
    return unsupported("input tensor {} is {}; this engine runs full-integer models (i8 or u8): quantise the model",
                       node_.inputs[in], to_string(x.type));
  }
  if (y.type != x.type) {
    return unsupported("input is {} but output tensor {} is {}", to_string(x.type), node_.outputs[out],
                       to_string(y.type));
  }
  if (x.scales.size() != 1) {
    return corrupt("input tensor {} has {} scales, expected 1", node_.inputs[in], x.scales.size());
  }
  if (y.scales.size() != 1) {
    return corrupt("output tensor {} has {} scales, expected 1", node_.outputs[out], y.scales.size());
  }
  return {};
}

Result<void> NodeView::expect_movable(std::size_t in, std::size_t out) const {
  const Tensor& x = input(in);
  const Tensor& y = output(out);
  if (x.type != y.type) {
    return corrupt("input is {} but output tensor {} is {}", to_string(x.type), node_.outputs[out], to_string(y.type));
  }
  if (x.scales.size() > 1 || y.scales.size() > 1) return unsupported("per-channel quantised activations");
  // One side without quantisation is an intermediate of some converters: the bytes still mean the same.
  const bool both = x.scales.size() == 1 && y.scales.size() == 1;
  if (is_8bit(x.type) && both &&
      (x.quantization.scale != y.quantization.scale || x.quantization.zero_point != y.quantization.zero_point)) {
    return unsupported("input and output tensor {} have different scales", node_.outputs[out]);
  }
  return {};
}

Result<std::vector<std::int32_t>> NodeView::constant_i32(std::size_t in, std::size_t max_count) const {
  const Tensor& tensor = input(in);
  if (tensor.type != DType::i32 || !tensor.is_constant()) {
    return unsupported("input tensor {} must be a constant i32 tensor", node_.inputs[in]);
  }
  const std::size_t count = tensor.shape.element_count();
  if (count > max_count) return corrupt("tensor {} has {} values, at most {}", node_.inputs[in], count, max_count);
  std::vector<std::int32_t> values(count);
  std::memcpy(values.data(), tensor.data.data(), count * sizeof(std::int32_t));  // the file may not be aligned
  return values;
}

Result<std::size_t> NodeView::normalize_axis(std::int64_t axis, std::size_t rank) const {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) return corrupt("axis {} of a tensor with {} dimensions", axis, rank);
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

Result<Multiplier> NodeView::multiplier(double real, std::string_view what) const {
  const auto fixed = quantize_multiplier(real);
  if (!fixed) return corrupt("{} {} is out of range; the scales make no sense", what, real);
  return *fixed;
}

std::optional<WindowAxis> window_axis(Padding padding, std::int32_t in, std::int32_t window, std::int32_t stride,
                                      std::int32_t dilation) {
  constexpr std::int32_t kMaxWindow = 65'536;
  for (const std::int32_t number : {window, stride, dilation}) {
    if (number < 1 || number > kMaxWindow) return std::nullopt;
  }
  const std::int64_t extent = (std::int64_t{window} - 1) * dilation + 1;
  WindowAxis axis;
  if (padding == Padding::valid) {
    if (extent > in) return std::nullopt;
    axis.out = static_cast<std::int32_t>((in - extent) / stride + 1);
    return axis;
  }
  axis.out = static_cast<std::int32_t>((std::int64_t{in} + stride - 1) / stride);
  const std::int64_t total = (std::int64_t{axis.out} - 1) * stride + extent - in;
  axis.pad_before = static_cast<std::int32_t>(std::max<std::int64_t>(total, 0) / 2);
  return axis;
}

}  // namespace wayside::accel::cpu
