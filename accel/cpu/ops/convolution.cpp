// SPDX-License-Identifier: Apache-2.0
// CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: checks, then a ConvKernel of the chosen instruction set.
#include <algorithm>
#include <memory>
#include <vector>

#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/kernels/packed_conv.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/ops/conv_parameters.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {

using base::Result;

Result<void> check_filter(const NodeView& node, std::int32_t channel_dimension, std::int32_t channels,
                          std::size_t activations) {
  WAYSIDE_CHECK(node.expect_8bit(activations));
  const Tensor& in = node.input(activations);
  const Tensor& filter = node.input(1);
  const std::int32_t number = node.input_number(1);
  if (!filter.is_constant()) return NodeView::unsupported("weight tensor {} is not a constant", number);
  if (filter.type != in.type) {
    return NodeView::unsupported("weight tensor {} is {} for {} activations", number, to_string(filter.type),
                                 to_string(in.type));
  }
  if (filter.scales.empty()) return NodeView::corrupt("weight tensor {} has no scale", number);
  if (filter.scales.size() == 1) return {};
  if (filter.type == DType::u8) return NodeView::unsupported("per-channel scales on u8 weight tensor {}", number);
  if (filter.quantized_dimension != channel_dimension || filter.scales.size() != static_cast<std::size_t>(channels)) {
    return NodeView::corrupt("weight tensor {} has {} scales along dimension {} for {} channels", number,
                             filter.scales.size(), filter.quantized_dimension, channels);
  }
  return {};
}

Result<std::vector<std::int32_t>> read_bias(const NodeView& node, std::size_t input, std::int32_t channels) {
  if (!node.has_input(input)) return std::vector<std::int32_t>{};
  const Tensor& bias = node.input(input);
  if (bias.shape.element_count() != static_cast<std::size_t>(channels)) {
    return NodeView::corrupt("bias tensor {} has shape {} for {} channels", node.input_number(input),
                             to_string(bias.shape), channels);
  }
  return node.constant_i32(input, static_cast<std::size_t>(channels));
}

Result<ConvSums> checked_sums(const Tensor& filter, const std::vector<std::int32_t>& bias, std::int32_t channels,
                              bool channel_is_last) {
  const ConvSpec spec{.out_c = channels,
                      .depthwise = channel_is_last,
                      .is_unsigned = filter.type == DType::u8,
                      .weight_zero = filter.quantization.zero_point,
                      .weights = {reinterpret_cast<const std::uint8_t*>(filter.data.data()), filter.data.size()},
                      .bias = bias};
  ConvSums sums = conv_sums(spec);
  const auto above = std::ranges::find_if(sums.bounds, [](std::int64_t bound) { return bound > INT32_MAX; });
  if (above != sums.bounds.end()) {
    return NodeView::corrupt("weights and bias of channel {} can overflow a 32-bit sum", above - sums.bounds.begin());
  }
  return sums;
}

/// Source: kernel_util.cc PopulateConvolutionQuantizationParams (double arithmetic per channel) and
/// GetQuantizedConvolutionMultipler (the product of the two scales rounded to float; legacy u8 and FULLY_CONNECTED).
Result<Requant> conv_requant(const NodeView& node, std::int32_t channels, ScaleProduct product,
                             std::size_t activations) {
  const Tensor& in = node.input(activations);
  const Tensor& filter = node.input(1);
  const Tensor& out = node.output();
  Requant requant;
  requant.multiplier.reserve(static_cast<std::size_t>(channels));
  requant.shift.reserve(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const float filter_scale = filter.scales[filter.scales.size() == 1 ? 0 : c];
    const double input_product = product == ScaleProduct::in_float
                                     ? double{in.quantization.scale * filter_scale}
                                     : double{in.quantization.scale} * double{filter_scale};
    WAYSIDE_TRY(const Multiplier factor,
                node.multiplier(input_product / double{out.quantization.scale}, "scale ratio"));
    requant.multiplier.push_back(factor.value);
    requant.shift.push_back(factor.shift);
  }
  requant.zero_point = out.quantization.zero_point;
  const Range range = activation_range(node.options().activation, out.type, out.quantization);
  requant.clamp_min = range.min;
  requant.clamp_max = range.max;
  return requant;
}

namespace {

class ConvOperator final : public Operator {
 public:
  explicit ConvOperator(std::unique_ptr<ConvKernel> kernel) : kernel_(std::move(kernel)) {}
  void run(const RunContext& context) const override {
    kernel_->run(context.input<std::uint8_t>(0), context.output<std::uint8_t>(), context.scratch, context.pool);
  }

 private:
  std::unique_ptr<ConvKernel> kernel_;
};

Result<std::unique_ptr<ConvKernel>> pack(const NodeView& node, ConvSpec spec, ScaleProduct product) {
  WAYSIDE_TRY(const auto bias, read_bias(node, 2, spec.out_c));
  WAYSIDE_TRY(const ConvSums sums, checked_sums(node.input(1), bias, spec.out_c, spec.depthwise));
  WAYSIDE_TRY(spec.requant, conv_requant(node, spec.out_c, product));
  spec.bias = bias;
  spec.sums = &sums;
  return make_conv(spec, node.level());
}

Result<PreparedOp> build(const NodeView& node, ConvSpec spec, ScaleProduct product) {
  const Tensor& filter = node.input(1);
  const std::int64_t sum_length = std::int64_t{spec.kernel_h} * spec.kernel_w * (spec.depthwise ? 1 : spec.in_c);
  spec.is_unsigned = filter.type == DType::u8;
  spec.in_zero = node.input(0).quantization.zero_point;
  spec.weight_zero = filter.quantization.zero_point;
  spec.weights = {reinterpret_cast<const std::uint8_t*>(filter.data.data()), filter.data.size()};
  std::unique_ptr<ConvKernel> kernel;
  if (node.packed() != nullptr && node.packed()->conv) {  // what pack() checks was checked when these were made
    spec.packed = &*node.packed()->conv;
    kernel = make_conv(spec, node.level());
    spec.packed = nullptr;
  }
  if (kernel == nullptr) {
    WAYSIDE_TRY(kernel, pack(node, spec, product));
  }
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.scratch_bytes = kernel->scratch_bytes(node.thread_count());
  prepared.weight_bytes = kernel->packed_bytes();
  prepared.mac_count = static_cast<std::uint64_t>(sum_length) * node.output().shape.element_count();
  if (PackedConv packed; kernel->get_packed(packed)) {
    packed.entry = kernel->entry;
    prepared.conv = packed;
  }
  prepared.op = std::make_unique<ConvOperator>(std::move(kernel));
  return prepared;
}

Result<ConvSpec> picture_spec(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 3, 1));
  WAYSIDE_CHECK(node.expect_options());
  const Shape& in = node.input(0).shape;
  const Shape& filter = node.input(1).shape;
  if (in.rank() != 4 || filter.rank() != 4) {
    return NodeView::corrupt("input {} and weights {} must have 4 dimensions", to_string(in), to_string(filter));
  }
  const OpOptions& options = node.options();
  const auto& [top, left, bottom, right] = options.outer;
  const auto rows = window_axis(options.padding, in[1] + top + bottom, filter[1], options.stride_h, options.dilation_h);
  const auto columns =
      window_axis(options.padding, in[2] + left + right, filter[2], options.stride_w, options.dilation_w);
  if (!rows || !columns) {
    return NodeView::corrupt("weights {} with stride {}x{}, dilation {}x{} do not fit input {}", to_string(filter),
                             options.stride_h, options.stride_w, options.dilation_h, options.dilation_w, to_string(in));
  }
  ConvSpec spec;
  spec.batch = in[0];
  spec.in_h = in[1];
  spec.in_w = in[2];
  spec.in_c = in[3];
  spec.kernel_h = filter[1];
  spec.kernel_w = filter[2];
  spec.out_h = rows->out;
  spec.out_w = columns->out;
  spec.pad_top = rows->pad_before + top;
  spec.pad_left = columns->pad_before + left;
  spec.stride_h = options.stride_h;
  spec.stride_w = options.stride_w;
  spec.dilation_h = options.dilation_h;
  spec.dilation_w = options.dilation_w;
  return spec;
}

}  // namespace

/// out[n,y,x,o] = requant_o(bias[o] + sum_{i,j,c} (in[n, y*stride_h + i*dilation_h - pad_top, ...x..., c] - in_zero) *
///                                                 (w[o,i,j,c] - weight_zero)); i8: weight_zero = 0, scales per channel
///                                                 o.
/// Source: reference/integer_ops/conv.h ConvPerChannel, reference/conv.h (u8).
Result<PreparedOp> prepare_conv(const NodeView& node) {
  WAYSIDE_TRY(ConvSpec spec, picture_spec(node));
  const Shape& filter = node.input(1).shape;
  spec.out_c = filter[0];
  if (filter[3] != spec.in_c) {
    return NodeView::unsupported("weights {} for {} input channels (grouped convolutions are not supported)",
                                 to_string(filter), spec.in_c);
  }
  WAYSIDE_CHECK(check_filter(node, 0, spec.out_c));
  WAYSIDE_CHECK(node.expect_output_shape(Shape{spec.batch, spec.out_h, spec.out_w, spec.out_c}));
  const bool is_u8 = node.input(0).type == DType::u8;
  return build(node, spec, is_u8 ? ScaleProduct::in_float : ScaleProduct::in_double);
}

/// out[n,y,x,o] = requant_o(bias[o] + sum_{i,j} (in[n,...,...,o / multiplier] - in_zero) * (w[0,i,j,o] - weight_zero)),
/// multiplier = out_c / in_c. Source: reference/integer_ops/depthwise_conv.h, reference/depthwiseconv_uint8.h.
Result<PreparedOp> prepare_depthwise_conv(const NodeView& node) {
  WAYSIDE_TRY(ConvSpec spec, picture_spec(node));
  const Shape& filter = node.input(1).shape;
  spec.out_c = filter[3];
  spec.depthwise = true;
  if (filter[0] != 1 || spec.out_c % spec.in_c != 0) {
    return NodeView::corrupt("weights {} for {} input channels", to_string(filter), spec.in_c);
  }
  WAYSIDE_CHECK(check_filter(node, 3, spec.out_c));
  WAYSIDE_CHECK(node.expect_output_shape(Shape{spec.batch, spec.out_h, spec.out_w, spec.out_c}));
  const bool is_u8 = node.input(0).type == DType::u8;
  return build(node, spec, is_u8 ? ScaleProduct::in_float : ScaleProduct::in_double);
}

/// out[r,o] = requant_o(bias[o] + sum_c (in[r,c] - in_zero) * (w[o,c] - weight_zero)), the input seen as rows of the
/// weights' depth. Source: reference/integer_ops/fully_connected.h, fully_connected.cc Prepare.
Result<PreparedOp> prepare_fully_connected(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 3, 1));
  const Shape& in = node.input(0).shape;
  const Shape& filter = node.input(1).shape;
  if (filter.rank() != 2) return NodeView::corrupt("weights {} must have 2 dimensions", to_string(filter));
  ConvSpec spec;
  spec.out_c = filter[0];
  spec.in_c = filter[1];
  const std::size_t depth = static_cast<std::size_t>(spec.in_c);
  if (in.element_count() % depth != 0) {
    return NodeView::corrupt("input {} does not divide into rows of {}", to_string(in), spec.in_c);
  }
  spec.in_h = spec.out_h = static_cast<std::int32_t>(in.element_count() / depth);
  WAYSIDE_CHECK(check_filter(node, 0, spec.out_c));
  const Shape& out = node.output().shape;
  const bool last_is_units = out.rank() > 0 && out[out.rank() - 1] == spec.out_c;
  if (!last_is_units || out.element_count() != static_cast<std::size_t>(spec.out_h) * filter[0]) {
    return NodeView::corrupt("output shape {}, computed [{},{}]", to_string(out), spec.out_h, spec.out_c);
  }
  const bool per_channel = node.input(1).scales.size() > 1;
  return build(node, spec, per_channel ? ScaleProduct::in_double : ScaleProduct::in_float);
}

}  // namespace wayside::accel::cpu::ops
