// SPDX-License-Identifier: Apache-2.0
// One small reader per options table.
#include "accel/cpu/op_options.h"

#include <format>

#include "accel/cpu/ops/op_table.h"
#include "tflite_generated.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

Result<void> read_activation(schema::ActivationFunctionType from, OpOptions& to) {
  switch (from) {
    case schema::ActivationFunctionType::NONE: to.activation = Activation::none; return {};
    case schema::ActivationFunctionType::RELU: to.activation = Activation::relu; return {};
    case schema::ActivationFunctionType::RELU_N1_TO_1: to.activation = Activation::relu_n1_to_1; return {};
    case schema::ActivationFunctionType::RELU6: to.activation = Activation::relu6; return {};
    default: break;
  }
  return fail(Code::unsupported,
              std::format("fused activation {} (only NONE, RELU, RELU_N1_TO_1, RELU6)", static_cast<int>(from)));
}

Result<void> read_padding(schema::Padding from, OpOptions& to) {
  if (from != schema::Padding::SAME && from != schema::Padding::VALID) {
    return fail(Code::corrupt, std::format("padding {} is neither SAME nor VALID", static_cast<int>(from)));
  }
  to.padding = from == schema::Padding::SAME ? Padding::same : Padding::valid;
  return {};
}

template <class Table>
Result<void> read_window(const Table& from, OpOptions& to) {
  to.stride_h = from.stride_h();
  to.stride_w = from.stride_w();
  WAYSIDE_CHECK(read_padding(from.padding(), to));
  return read_activation(from.fused_activation_function(), to);
}

template <class Table>
Result<void> read_convolution(const Table& from, OpOptions& to) {
  to.dilation_h = from.dilation_h_factor();
  to.dilation_w = from.dilation_w_factor();
  return read_window(from, to);
}

Result<void> read(const schema::Conv2DOptions& from, OpOptions& to) { return read_convolution(from, to); }
Result<void> read(const schema::DepthwiseConv2DOptions& from, OpOptions& to) { return read_convolution(from, to); }
Result<void> read(const schema::TransposeConvOptions& from, OpOptions& to) { return read_window(from, to); }

Result<void> read(const schema::Pool2DOptions& from, OpOptions& to) {
  to.filter_h = from.filter_height();
  to.filter_w = from.filter_width();
  return read_window(from, to);
}

Result<void> read(const schema::FullyConnectedOptions& from, OpOptions& to) {
  if (from.weights_format() != 0) return fail(Code::unsupported, "shuffled weights; convert the model without them");
  to.keep_dims = from.keep_num_dims();
  return read_activation(from.fused_activation_function(), to);
}

Result<void> read(const schema::AddOptions& from, OpOptions& to) {
  return read_activation(from.fused_activation_function(), to);
}
Result<void> read(const schema::SubOptions& from, OpOptions& to) {
  return read_activation(from.fused_activation_function(), to);
}
Result<void> read(const schema::MulOptions& from, OpOptions& to) {
  return read_activation(from.fused_activation_function(), to);
}

Result<void> read(const schema::ConcatenationOptions& from, OpOptions& to) {
  to.axis = from.axis();
  return read_activation(from.fused_activation_function(), to);
}

Result<void> read(const schema::SoftmaxOptions& from, OpOptions& to) {
  to.beta = from.beta();
  return {};
}

template <class Table>
Result<void> read_resize(const Table& from, OpOptions& to) {
  to.align_corners = from.align_corners();
  to.half_pixel_centers = from.half_pixel_centers();
  return {};
}
Result<void> read(const schema::ResizeBilinearOptions& from, OpOptions& to) { return read_resize(from, to); }
Result<void> read(const schema::ResizeNearestNeighborOptions& from, OpOptions& to) { return read_resize(from, to); }

Result<void> read_dims(const flatbuffers::Vector<std::int32_t>* from, OpOptions& to) {
  if (from == nullptr) return {};
  if (from->size() > kMaxRank)
    return fail(Code::unsupported, std::format("{} dimensions in its options", from->size()));
  to.shape.assign(from->begin(), from->end());
  return {};
}
Result<void> read(const schema::ReshapeOptions& from, OpOptions& to) { return read_dims(from.new_shape(), to); }
Result<void> read(const schema::SqueezeOptions& from, OpOptions& to) { return read_dims(from.squeeze_dims(), to); }

Result<void> read(const schema::ReducerOptions& from, OpOptions& to) {
  to.keep_dims = from.keep_dims();
  return {};
}

Result<void> read(const schema::SplitOptions& from, OpOptions& to) {
  to.count = from.num_splits();
  return {};
}

Result<void> read(const schema::PackOptions& from, OpOptions& to) {
  to.count = from.values_count();
  to.axis = from.axis();
  return {};
}

Result<void> read(const schema::UnpackOptions& from, OpOptions& to) {
  to.count = from.num();
  to.axis = from.axis();
  return {};
}

Result<void> read(const schema::StridedSliceOptions& from, OpOptions& to) {
  to.begin_mask = from.begin_mask();
  to.end_mask = from.end_mask();
  to.ellipsis_mask = from.ellipsis_mask();
  to.new_axis_mask = from.new_axis_mask();
  to.shrink_axis_mask = from.shrink_axis_mask();
  to.offset = from.offset();
  return {};
}

Result<void> read(const schema::LeakyReluOptions& from, OpOptions& to) {
  to.alpha = from.alpha();
  return {};
}

template <class Table>
Result<OpOptions> read_as(const schema::Operator& op) {
  OpOptions options;
  const Table* table = op.builtin_options_as<Table>();  // null when absent or of another kind
  if (table == nullptr) return options;
  options.present = true;
  WAYSIDE_CHECK(read(*table, options));
  return options;
}

}  // namespace

Result<OpOptions> read_options(const schema::Operator& op, std::int32_t builtin_code) {
  switch (static_cast<OpCode>(builtin_code)) {
    case OpCode::conv_2d: return read_as<schema::Conv2DOptions>(op);
    case OpCode::depthwise_conv_2d: return read_as<schema::DepthwiseConv2DOptions>(op);
    case OpCode::transpose_conv: return read_as<schema::TransposeConvOptions>(op);
    case OpCode::average_pool_2d:
    case OpCode::max_pool_2d: return read_as<schema::Pool2DOptions>(op);
    case OpCode::fully_connected: return read_as<schema::FullyConnectedOptions>(op);
    case OpCode::add: return read_as<schema::AddOptions>(op);
    case OpCode::sub: return read_as<schema::SubOptions>(op);
    case OpCode::mul: return read_as<schema::MulOptions>(op);
    case OpCode::concatenation: return read_as<schema::ConcatenationOptions>(op);
    case OpCode::softmax: return read_as<schema::SoftmaxOptions>(op);
    case OpCode::resize_bilinear: return read_as<schema::ResizeBilinearOptions>(op);
    case OpCode::resize_nearest_neighbor: return read_as<schema::ResizeNearestNeighborOptions>(op);
    case OpCode::reshape: return read_as<schema::ReshapeOptions>(op);
    case OpCode::squeeze: return read_as<schema::SqueezeOptions>(op);
    case OpCode::mean: return read_as<schema::ReducerOptions>(op);
    case OpCode::split: return read_as<schema::SplitOptions>(op);
    case OpCode::pack: return read_as<schema::PackOptions>(op);
    case OpCode::unpack: return read_as<schema::UnpackOptions>(op);
    case OpCode::strided_slice: return read_as<schema::StridedSliceOptions>(op);
    case OpCode::leaky_relu: return read_as<schema::LeakyReluOptions>(op);
    default: return OpOptions{};
  }
}

}  // namespace wayside::accel::cpu
