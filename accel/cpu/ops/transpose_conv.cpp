// SPDX-License-Identifier: Apache-2.0
// TRANSPOSE_CONV: every input pixel is spread over the outputs that its kernel covers.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "accel/cpu/ops/conv_parameters.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct TransposeConv {
  DType type = DType::i8;
  std::int32_t batch = 1, in_h = 1, in_w = 1, in_c = 1, out_h = 1, out_w = 1, out_c = 1;
  std::int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  std::int32_t in_zero = 0;
  std::vector<std::int16_t> weights;  // w - weight_zero, [out_c,kernel_h,kernel_w,in_c]
  std::vector<std::int32_t> bias;     // [out_c]
  Requant requant;

  void operator()(const RunContext& context) const {
    auto* sums = reinterpret_cast<std::int32_t*>(context.scratch);  // [out_h,out_w,out_c] of one picture
    const auto in_size = static_cast<std::size_t>(in_h) * in_w * in_c;
    const auto out_size = static_cast<std::size_t>(out_h) * out_w * out_c;
    for (std::int32_t n = 0; n < batch; ++n) {
      for (std::size_t i = 0; i < out_size; ++i) sums[i] = bias[i % bias.size()];
      spread(context.input<std::uint8_t>(0) + (n * in_size), sums);
      requantize(sums, context.output<std::uint8_t>() + (n * out_size), out_size);
    }
  }

  void spread(const std::uint8_t* in, std::int32_t* sums) const {
    for (std::int32_t y = 0; y < in_h; ++y) {
      for (std::int32_t x = 0; x < in_w; ++x) {
        const std::uint8_t* pixel = in + ((static_cast<std::size_t>(y) * in_w + x) * in_c);
        spread_pixel(pixel, (y * stride_h) - pad_top, (x * stride_w) - pad_left, sums);
      }
    }
  }

  void spread_pixel(const std::uint8_t* pixel, std::int32_t top, std::int32_t left, std::int32_t* sums) const {
    const std::int32_t i_end = std::min(kernel_h, out_h - top), j_end = std::min(kernel_w, out_w - left);
    for (std::int32_t i = std::max(0, -top); i < i_end; ++i) {
      for (std::int32_t j = std::max(0, -left); j < j_end; ++j) {
        std::int32_t* to = sums + ((static_cast<std::size_t>(top + i) * out_w + left + j) * out_c);
        for (std::int32_t o = 0; o < out_c; ++o) to[o] += dot(pixel, i, j, o);
      }
    }
  }

  [[nodiscard]] std::int32_t dot(const std::uint8_t* pixel, std::int32_t i, std::int32_t j, std::int32_t o) const {
    const std::int16_t* w = &weights[((static_cast<std::size_t>(o) * kernel_h + i) * kernel_w + j) * in_c];
    std::int32_t sum = 0;
    for (std::int32_t c = 0; c < in_c; ++c) sum += (value_of(pixel[c], type) - in_zero) * w[c];
    return sum;
  }

  void requantize(const std::int32_t* sums, std::uint8_t* out, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t o = i % static_cast<std::size_t>(out_c);
      const std::int32_t q = multiply_by_quantized_multiplier(sums[i], requant.multiplier[o], requant.shift[o]);
      out[i] = static_cast<std::uint8_t>(
          std::clamp(saturating_add(q, requant.zero_point), requant.clamp_min, requant.clamp_max));
    }
  }
};

/// The output's shape is input 0, a constant [batch,out_h,out_w,out_c]; SAME and VALID say where the input lies in it.
Result<void> set_geometry(const NodeView& node, TransposeConv& op) {
  const Shape& in = node.input(2).shape;
  const Shape& filter = node.input(1).shape;
  const Shape& out = node.output().shape;
  if (in.rank() != 4 || filter.rank() != 4 || out.rank() != 4) {
    return NodeView::corrupt("input {}, weights {} and output {} must have 4 dimensions", to_string(in),
                             to_string(filter), to_string(out));
  }
  if (in[0] != out[0] || filter[3] != in[3] || filter[0] != out[3]) {
    return NodeView::corrupt("input {}, weights {} and output {} do not fit together", to_string(in), to_string(filter),
                             to_string(out));
  }
  const OpOptions& options = node.options();
  const auto rows = window_axis(options.padding, out[1], filter[1], options.stride_h, 1);
  const auto columns = window_axis(options.padding, out[2], filter[2], options.stride_w, 1);
  if (!rows || !columns || rows->out != in[1] || columns->out != in[2]) {
    return NodeView::corrupt("input {} with weights {} and stride {}x{} does not give output {}", to_string(in),
                             to_string(filter), options.stride_h, options.stride_w, to_string(out));
  }
  op.batch = in[0];
  op.in_h = in[1];
  op.in_w = in[2];
  op.in_c = in[3];
  op.out_h = out[1];
  op.out_w = out[2];
  op.out_c = out[3];
  op.kernel_h = filter[1];
  op.kernel_w = filter[2];
  op.stride_h = options.stride_h;
  op.stride_w = options.stride_w;
  op.pad_top = rows->pad_before;
  op.pad_left = columns->pad_before;
  return {};
}

}  // namespace

/// out[n,y,x,o] = requant_o(bias[o] + sum over (v,u,i,j,c) with v*stride_h + i - pad_top = y, u*stride_w + j - pad_left
/// = x
///                          of (in[n,v,u,c] - in_zero) * (w[o,i,j,c] - weight_zero)).
/// Source: reference/integer_ops/transpose_conv.h, reference/transpose_conv.h (u8), transpose_conv.cc Prepare.
Result<PreparedOp> prepare_transpose_conv(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(3, 4, 1));
  WAYSIDE_CHECK(node.expect_options());
  WAYSIDE_TRY(const auto shape, node.constant_i32(0, 4));
  if (shape.size() != 4 || !std::ranges::equal(shape, node.output().shape.dims())) {
    return NodeView::corrupt("output {} is not what its shape tensor says", to_string(node.output().shape));
  }
  TransposeConv op;
  WAYSIDE_CHECK(set_geometry(node, op));
  WAYSIDE_CHECK(check_filter(node, 0, op.out_c, 2));
  const Tensor& in = node.input(2);
  const Tensor& filter = node.input(1);
  op.type = in.type;
  op.in_zero = in.quantization.zero_point;
  const auto product = in.type == DType::u8 ? ScaleProduct::in_float : ScaleProduct::in_double;
  WAYSIDE_TRY(op.requant, conv_requant(node, op.out_c, product, 2));
  WAYSIDE_TRY(op.bias, read_bias(node, 3, op.out_c));
  WAYSIDE_CHECK(checked_sums(filter, op.bias, op.out_c, false));
  if (op.bias.empty()) op.bias.assign(static_cast<std::size_t>(op.out_c), 0);
  op.weights.reserve(filter.data.size());
  for (const std::byte byte : filter.data) {
    const std::int32_t w = value_of(std::to_integer<std::uint8_t>(byte), filter.type) - filter.quantization.zero_point;
    op.weights.push_back(static_cast<std::int16_t>(w));
  }
  PreparedOp prepared;
  prepared.reads.push_back(2);
  prepared.scratch_bytes = node.output().shape.product(1, 4) * sizeof(std::int32_t);
  prepared.weight_bytes = op.weights.size() * sizeof(std::int16_t);
  prepared.mac_count = in.shape.element_count() * static_cast<std::uint64_t>(op.kernel_h) * op.kernel_w * op.out_c;
  prepared.op = make_operator(std::move(op));
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
