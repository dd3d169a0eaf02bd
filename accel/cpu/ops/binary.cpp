// SPDX-License-Identifier: Apache-2.0
// ADD, SUB, MUL of two tensors with broadcasting, 8-bit and f32.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "accel/cpu/ops/broadcast.h"
#include "accel/cpu/ops/byte_broadcast.h"
#include "accel/cpu/ops/lookup.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

enum class Sign : std::uint8_t { plus, minus };

/// ADD and SUB scale both inputs to a common scale, 2^20 times finer than twice the larger of the two, before they
/// meet. The scaled value depends on one byte only: two tables of 256 take its place.
struct QuantizedSum {
  static constexpr int kLeftShift = 20;  // tensorflow/lite/kernels/add.cc PrepareGeneral
  std::array<std::int32_t, 256> scaled_a, scaled_b;
  Multiplier to_output;
  std::int32_t zero_point = 0;
  Range range;
  [[nodiscard]] std::uint8_t operator()(std::uint8_t a, std::uint8_t b) const {
    const std::int32_t q = multiply(saturating_add(scaled_a[a], scaled_b[b]), to_output);
    return static_cast<std::uint8_t>(range.clamp(saturating_add(q, zero_point)));
  }
};

struct QuantizedProduct {
  std::array<std::int32_t, 256> value_a, value_b;  // minus the zero points
  Multiplier to_output;
  std::int32_t zero_point = 0;
  Range range;
  [[nodiscard]] std::uint8_t operator()(std::uint8_t a, std::uint8_t b) const {
    const std::int32_t q = multiply(value_a[a] * value_b[b], to_output);
    return static_cast<std::uint8_t>(range.clamp(saturating_add(q, zero_point)));
  }
};

Result<Broadcast> check_shapes(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  const auto broadcast = Broadcast::create(node.input(0).shape, node.input(1).shape);
  if (!broadcast) {
    return NodeView::corrupt("shapes {} and {} do not broadcast", to_string(node.input(0).shape),
                             to_string(node.input(1).shape));
  }
  WAYSIDE_CHECK(node.expect_output_shape(broadcast->out_shape));
  return *broadcast;
}

bool all_f32(const NodeView& node) {
  return node.input(0).type == DType::f32 && node.input(1).type == DType::f32 && node.output().type == DType::f32;
}

template <class Function>
PreparedOp float_elementwise(const NodeView& node, const Broadcast& broadcast, Function function) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Activation activation = node.options().activation;
  const float low = activation == Activation::none ? -kInfinity : activation == Activation::relu_n1_to_1 ? -1.0F : 0.0F;
  const float high = activation == Activation::relu6 ? 6.0F : activation == Activation::relu_n1_to_1 ? 1.0F : kInfinity;
  PreparedOp prepared;
  prepared.reads = {0, 1};
  prepared.op = make_operator([=](const RunContext& context) {
    broadcast.apply(context.input<float>(0), context.input<float>(1), context.output<float>(),
                    [=](float a, float b) { return std::min(std::max(function(a, b), low), high); });
  });
  return prepared;
}

/// `function` is what `kernel` computes. A constant that is one number makes the operator a function of one tensor.
PreparedOp bytes_operator(const NodeView& node, const Broadcast& broadcast, const ByteFunction& function,
                          std::unique_ptr<BinaryKernel> kernel) {
  const auto is_number = [&](std::size_t input) {
    return node.input(input).is_constant() && node.input(input).shape.element_count() == 1;
  };
  const auto number = [&](std::size_t input) { return std::to_integer<std::uint8_t>(node.input(input).data[0]); };
  for (const std::size_t constant : {std::size_t{1}, std::size_t{0}}) {
    if (!is_number(constant) || is_number(1 - constant)) continue;
    LookupTable table;
    for (std::size_t byte = 0; byte < table.size(); ++byte) {
      const auto x = static_cast<std::uint8_t>(byte);
      table[byte] = constant == 1 ? function(x, number(1)) : function(number(0), x);
    }
    return lookup_operator(table, node, static_cast<std::uint32_t>(1 - constant));
  }
  PreparedOp prepared;
  prepared.reads = {0, 1};
  const auto as_large = [&](std::size_t input) {
    return node.input(input).shape.element_count() == node.output().shape.element_count();
  };
  if (as_large(0) && as_large(1)) prepared.bytewise = function;
  ByteBroadcast bytes(broadcast, std::move(kernel));
  prepared.scratch_bytes = bytes.scratch_bytes();
  prepared.op = make_operator([bytes = std::move(bytes)](const RunContext& context) { bytes.run(context); });
  return prepared;
}

TableSumSpec kernel_spec(const QuantizedSum& sum, bool is_unsigned) {
  return {.table_a = sum.scaled_a,
          .table_b = sum.scaled_b,
          .is_unsigned = is_unsigned,
          .requant = {.multiplier = {sum.to_output.value},
                      .shift = {sum.to_output.shift},
                      .zero_point = sum.zero_point,
                      .clamp_min = sum.range.min,
                      .clamp_max = sum.range.max}};
}

/// The table of round((x - zero_point) * 2^20 * scale_x / twice_max_scale) over all bytes x.
Result<std::array<std::int32_t, 256>> scaled_table(const NodeView& node, const Tensor& tensor, double twice_max_scale) {
  WAYSIDE_TRY(const Multiplier factor,
              node.multiplier(double{tensor.quantization.scale} / twice_max_scale, "scale ratio"));
  std::array<std::int32_t, 256> table;
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    const std::int32_t value = value_of(static_cast<std::uint8_t>(byte), tensor.type) - tensor.quantization.zero_point;
    table[byte] = multiply(value * (1 << QuantizedSum::kLeftShift), factor);
  }
  return table;
}

Result<PreparedOp> prepare_sum(const NodeView& node, Sign sign) {
  WAYSIDE_TRY(const Broadcast broadcast, check_shapes(node));
  if (all_f32(node)) {
    const float factor = sign == Sign::plus ? 1.0F : -1.0F;  // a + (-b) is a - b exactly
    return float_elementwise(node, broadcast, [factor](float a, float b) { return a + (factor * b); });
  }
  WAYSIDE_CHECK(node.expect_8bit(0));
  WAYSIDE_CHECK(node.expect_8bit(1));
  const Tensor& a = node.input(0);
  const Tensor& b = node.input(1);
  const Tensor& out = node.output();
  const double twice_max_scale = double{2 * std::max(a.quantization.scale, b.quantization.scale)};
  QuantizedSum sum;
  WAYSIDE_TRY(sum.scaled_a, scaled_table(node, a, twice_max_scale));
  WAYSIDE_TRY(sum.scaled_b, scaled_table(node, b, twice_max_scale));
  if (sign == Sign::minus) {
    for (std::int32_t& value : sum.scaled_b) value = -value;
  }
  const double unit = double{static_cast<float>(1 << QuantizedSum::kLeftShift) * out.quantization.scale};
  WAYSIDE_TRY(sum.to_output, node.multiplier(twice_max_scale / unit, "scale ratio"));
  sum.zero_point = out.quantization.zero_point;
  sum.range = activation_range(node.options().activation, out.type, out.quantization);
  TableSumSpec spec = kernel_spec(sum, out.type == DType::u8);
  const bool is_kept = node.packed() != nullptr && node.packed()->sum.has_value();
  const SumForm form = is_kept ? *node.packed()->sum : find_sum_form(spec, node.level());
  spec.form = &form;
  PreparedOp prepared = bytes_operator(node, broadcast, sum, make_table_sum(spec, node.level()));
  if (node.level() != Level::reference) prepared.sum = form;  // the reference searches nothing
  return prepared;
}

}  // namespace

/// out = clamp(requant(scaled(a) + scaled(b)) + zero_point). Source: reference/add.h, reference/integer_ops/add.h.
Result<PreparedOp> prepare_add(const NodeView& node) { return prepare_sum(node, Sign::plus); }

/// out = clamp(requant(scaled(a) - scaled(b)) + zero_point). Source: reference/sub.h.
Result<PreparedOp> prepare_sub(const NodeView& node) { return prepare_sum(node, Sign::minus); }

/// out = clamp(requant((a - zero_a) * (b - zero_b)) + zero_point), factor scale_a * scale_b / scale_out (in float).
/// Source: reference/mul.h, reference/integer_ops/mul.h, mul.cc Prepare.
Result<PreparedOp> prepare_mul(const NodeView& node) {
  WAYSIDE_TRY(const Broadcast broadcast, check_shapes(node));
  if (all_f32(node)) return float_elementwise(node, broadcast, [](float a, float b) { return a * b; });
  WAYSIDE_CHECK(node.expect_8bit(0));
  WAYSIDE_CHECK(node.expect_8bit(1));
  const Tensor& a = node.input(0);
  const Tensor& b = node.input(1);
  const Tensor& out = node.output();
  QuantizedProduct product;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto x = static_cast<std::uint8_t>(byte);
    product.value_a[byte] = value_of(x, a.type) - a.quantization.zero_point;
    product.value_b[byte] = value_of(x, b.type) - b.quantization.zero_point;
  }
  const float factor = a.quantization.scale * b.quantization.scale / out.quantization.scale;
  WAYSIDE_TRY(product.to_output, node.multiplier(double{factor}, "scale ratio"));
  product.zero_point = out.quantization.zero_point;
  product.range = activation_range(node.options().activation, out.type, out.quantization);
  const ProductSpec spec{.zero_a = a.quantization.zero_point,
                         .zero_b = b.quantization.zero_point,
                         .is_unsigned = out.type == DType::u8,
                         .requant = {.multiplier = {product.to_output.value},
                                     .shift = {product.to_output.shift},
                                     .zero_point = product.zero_point,
                                     .clamp_min = product.range.min,
                                     .clamp_max = product.range.max}};
  return bytes_operator(node, broadcast, product, make_product(spec, node.level()));
}

}  // namespace wayside::accel::cpu::ops
