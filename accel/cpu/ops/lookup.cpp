// SPDX-License-Identifier: Apache-2.0
// Activation functions of one 8-bit tensor, each as a table of 256 answers: LOGISTIC, TANH, RELU, RELU6, RELU_N1_TO_1,
// LEAKY_RELU, HARD_SWISH; LOGISTIC, TANH and RELU also on f32.
#include "accel/cpu/ops/lookup.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>

#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {

using base::Result;

PreparedOp lookup_operator(const LookupTable& table, const NodeView& node, std::uint32_t input) {
  PreparedOp prepared;
  prepared.reads.push_back(input);
  prepared.bytewise = [table](std::uint8_t x, std::uint8_t /*unused*/) { return table[x]; };
  prepared.op = make_operator([kernel = std::shared_ptr<const LookupKernel>(make_lookup(table, node.level())),
                               count = node.output().shape.element_count()](const RunContext& context) {
    kernel->run(context.input<std::uint8_t>(0), context.output<std::uint8_t>(), count, context.pool);
  });
  return prepared;
}

namespace {

Result<void> check_unary(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  return node.expect_output_shape(node.input(0).shape);
}

bool is_f32(const NodeView& node) { return node.input(0).type == DType::f32 && node.output().type == DType::f32; }

template <class Function>
PreparedOp float_unary(const NodeView& node, Function function) {
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([count = node.output().shape.element_count(), function](const RunContext& context) {
    const float* in = context.input<float>(0);
    float* out = context.output<float>();
    for (std::size_t i = 0; i < count; ++i) out[i] = function(in[i]);
  });
  return prepared;
}

/// q = clamp(round(function(scale_in * (x - zero_in)) * (1 / scale_out)) + zero_out), in float as the reference has it.
/// Source: kernels/internal/common.h LUTPopulate.
template <class Function>
Result<PreparedOp> prepare_float_table(const NodeView& node, Function function) {
  WAYSIDE_CHECK(check_unary(node));
  if (is_f32(node)) return float_unary(node, function);
  WAYSIDE_CHECK(node.expect_8bit());
  const Quantization in = node.input(0).quantization, out = node.output().quantization;
  const DType type = node.output().type;
  const float inverse_scale = 1 / out.scale;
  const auto table = node_table(node, [&](std::int32_t x) {
    const float real = in.scale * static_cast<float>(x - in.zero_point);
    const float rescaled = std::round(function(real) * inverse_scale);
    return type_range(type).clamp(round_to_i32(rescaled + static_cast<float>(out.zero_point)));
  });
  return lookup_operator(table, node);
}

/// q = clamp(requant(x - zero_in) + zero_out) within [quantised low, quantised high].
/// Source: kernels/activations.cc QuantizedReluX, optimized_ops.h ReluX.
Result<PreparedOp> prepare_relu_like(const NodeView& node, Activation activation, float low, float high) {
  WAYSIDE_CHECK(check_unary(node));
  if (is_f32(node)) return float_unary(node, [=](float x) { return std::min(std::max(x, low), high); });
  WAYSIDE_CHECK(node.expect_8bit());
  const Quantization in = node.input(0).quantization, out = node.output().quantization;
  const DType type = node.output().type;
  WAYSIDE_TRY(const Multiplier factor, node.multiplier(double{in.scale / out.scale}, "scale ratio"));
  const Range range = activation_range(activation, type, out);
  const auto table = node_table(node, [&](std::int32_t x) {
    return range.clamp(saturating_add(multiply(x - in.zero_point, factor), out.zero_point));
  });
  return lookup_operator(table, node);
}

}  // namespace

/// out = 1 / (1 + exp(-x)).
Result<PreparedOp> prepare_logistic(const NodeView& node) {
  return prepare_float_table(node, [](float x) { return 1.0F / (1.0F + std::exp(-x)); });
}

/// out = tanh(x).
Result<PreparedOp> prepare_tanh(const NodeView& node) {
  return prepare_float_table(node, [](float x) { return std::tanh(x); });
}

/// out = max(x, 0).
Result<PreparedOp> prepare_relu(const NodeView& node) {
  return prepare_relu_like(node, Activation::relu, 0, std::numeric_limits<float>::infinity());
}

/// out = min(max(x, -1), 1).
Result<PreparedOp> prepare_relu_n1_to_1(const NodeView& node) {
  return prepare_relu_like(node, Activation::relu_n1_to_1, -1, 1);
}

/// out = min(max(x, 0), 6).
Result<PreparedOp> prepare_relu6(const NodeView& node) { return prepare_relu_like(node, Activation::relu6, 0, 6); }

/// out = x for x >= 0, else alpha * x. Source: reference/leaky_relu.h QuantizeLeakyRelu.
Result<PreparedOp> prepare_leaky_relu(const NodeView& node) {
  WAYSIDE_CHECK(check_unary(node));
  WAYSIDE_CHECK(node.expect_options());
  WAYSIDE_CHECK(node.expect_8bit());
  const Quantization in = node.input(0).quantization, out = node.output().quantization;
  const DType type = node.output().type;
  const float alpha = node.options().alpha;
  WAYSIDE_TRY(const Multiplier identity, node.multiplier(double{in.scale / out.scale}, "scale ratio"));
  WAYSIDE_TRY(const Multiplier slope, node.multiplier(double{in.scale * alpha / out.scale}, "slope"));
  const auto table = node_table(node, [&](std::int32_t x) {
    const std::int32_t value = x - in.zero_point;
    return type_range(type).clamp(saturating_add(multiply(value, value >= 0 ? identity : slope), out.zero_point));
  });
  return lookup_operator(table, node);
}

namespace {

std::int16_t saturate16(std::int64_t x) {
  return static_cast<std::int16_t>(
      std::clamp<std::int64_t>(x, std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()));
}

/// round(a * b / 2^15), ties as doubling_high_mul has them.
std::int16_t doubling_high_mul16(std::int16_t a, std::int16_t b) {
  const std::int32_t product = std::int32_t{a} * b;
  return saturate16((std::int64_t{product} + (1 << 14)) >> 15);
}

/// Q0.31 to Q0.15, rounded, saturated. Source: activations.cc DownScaleInt32ToInt16Multiplier.
std::int16_t to_q15(std::int32_t q31) { return saturate16((std::int64_t{q31} + (1 << 15)) >> 16); }

/// The 16-bit fixed-point steps of reference/hard_swish.h.
struct HardSwish {
  std::int32_t zero_in = 0, zero_out = 0;
  std::int16_t output_factor = 0, gate_factor = 0;      // Q0.15
  std::int32_t output_exponent = 0, gate_exponent = 0;  // output_exponent <= 0

  [[nodiscard]] std::int32_t operator()(std::int32_t x) const {
    constexpr std::int32_t kHighResolution = 1 << 7;  // 8-bit values use the upper part of 16 bits
    const auto fine = static_cast<std::int16_t>((x - zero_in) * kHighResolution);
    const std::int16_t on_output_scale = doubling_high_mul16(fine, output_factor);
    std::int16_t gate = fine;  // becomes (x + 3) / 6 in Q0.15
    if (gate_exponent > 0) gate = saturate16(std::int64_t{gate} << (gate_exponent - 1));
    gate = doubling_high_mul16(gate, gate_factor);
    if (gate_exponent > 0) gate = saturate16(std::int64_t{gate} << 1);
    if (gate_exponent < 0) gate = static_cast<std::int16_t>(rounding_divide_by_pot(gate, -gate_exponent));
    gate = static_cast<std::int16_t>((std::int32_t{gate} + (1 << 15)) >> 1);
    const std::int32_t product = std::int32_t{gate} * on_output_scale / (1 << 15);  // towards zero
    return rounding_divide_by_pot(product, -output_exponent) + zero_out;
  }
};

}  // namespace

/// out = x * min(max(x + 3, 0), 6) / 6. Source: reference/hard_swish.h, activations.cc HardSwishPrepare.
Result<PreparedOp> prepare_hard_swish(const NodeView& node) {
  WAYSIDE_CHECK(check_unary(node));
  WAYSIDE_CHECK(node.expect_8bit());
  const Quantization in = node.input(0).quantization, out = node.output().quantization;
  const DType type = node.output().type;
  const float fine_scale = (1.0F / 128.0F) * in.scale;
  constexpr float kGateScale = 3.0F / 32768.0F;  // 3 is the end of the ramp
  WAYSIDE_TRY(const Multiplier output, node.multiplier(double{fine_scale / out.scale}, "scale ratio"));
  WAYSIDE_TRY(const Multiplier gate, node.multiplier(double{fine_scale / kGateScale}, "input scale"));
  if (output.shift > 0) return NodeView::unsupported("its output scale is too fine for its input scale");
  const HardSwish function{.zero_in = in.zero_point,
                           .zero_out = out.zero_point,
                           .output_factor = to_q15(output.value),
                           .gate_factor = to_q15(gate.value),
                           .output_exponent = output.shift,
                           .gate_exponent = gate.shift};
  const auto table = node_table(node, [&](std::int32_t x) { return type_range(type).clamp(function(x)); });
  return lookup_operator(table, node);
}

}  // namespace wayside::accel::cpu::ops
