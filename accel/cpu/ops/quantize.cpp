// SPDX-License-Identifier: Apache-2.0
// QUANTIZE (f32 to 8-bit, 8-bit to 8-bit) and DEQUANTIZE (8-bit to f32).
#include <array>
#include <cmath>

#include "accel/cpu/ops/lookup.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

/// q = clamp(requant(x - zero_in) + zero_out), factor scale_in / scale_out in float. i8 and u8 may be mixed.
/// Source: reference/requantize.h, quantize.cc.
Result<PreparedOp> prepare_requantize(const NodeView& node) {
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  WAYSIDE_TRY(const Multiplier factor,
              node.multiplier(double{in.quantization.scale / out.quantization.scale}, "scale ratio"));
  const auto table = node_table(node, [&](std::int32_t x) {
    const std::int32_t q = multiply(x - in.quantization.zero_point, factor);
    return type_range(out.type).clamp(saturating_add(q, out.quantization.zero_point));
  });
  return lookup_operator(table, node);
}

}  // namespace

/// f32: q = clamp(round(x / scale) + zero_point); NaN gives the zero point. Source: reference/quantize.h
/// AffineQuantize.
Result<PreparedOp> prepare_quantize(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  WAYSIDE_CHECK(node.expect_output_shape(node.input(0).shape));
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  const bool input_fits = in.type == DType::f32 || (is_8bit(in.type) && in.scales.size() == 1);
  if (!input_fits || !is_8bit(out.type) || out.scales.size() != 1) {
    return NodeView::unsupported("from {} to {}", to_string(in.type), to_string(out.type));
  }
  if (in.type != DType::f32) return prepare_requantize(node);
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([quantization = out.quantization, range = type_range(out.type),
                               count = out.shape.element_count()](const RunContext& context) {
    const float* x = context.input<float>(0);
    std::uint8_t* q = context.output<std::uint8_t>();
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t rounded = round_to_i32(std::round(x[i] / quantization.scale));
      q[i] = static_cast<std::uint8_t>(range.clamp(saturating_add(rounded, quantization.zero_point)));
    }
  });
  return prepared;
}

/// x = scale * (q - zero_point). Source: reference/dequantize.h.
Result<PreparedOp> prepare_dequantize(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  WAYSIDE_CHECK(node.expect_output_shape(node.input(0).shape));
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  if (!is_8bit(in.type) || in.scales.size() != 1 || out.type != DType::f32) {
    return NodeView::unsupported("from {} to {}", to_string(in.type), to_string(out.type));
  }
  std::array<float, 256> table;
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    const std::int32_t q = value_of(static_cast<std::uint8_t>(byte), in.type);
    table[byte] = in.quantization.scale * static_cast<float>(q - in.quantization.zero_point);
  }
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([table, count = out.shape.element_count()](const RunContext& context) {
    const std::uint8_t* q = context.input<std::uint8_t>(0);
    float* x = context.output<float>();
    for (std::size_t i = 0; i < count; ++i) x[i] = table[q[i]];
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
