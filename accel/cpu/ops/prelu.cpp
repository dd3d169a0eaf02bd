// SPDX-License-Identifier: Apache-2.0
// PRELU: a slope for negative values, from a second tensor with broadcasting.
#include <array>

#include "accel/cpu/ops/broadcast.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct Prelu {
  std::array<std::int32_t, 256> value;     // x - zero_in
  std::array<std::int32_t, 256> positive;  // requant(value) for value >= 0
  std::array<std::int32_t, 256> slope;     // alpha - zero_alpha
  Multiplier negative_factor;
  std::int32_t zero_point = 0;
  Range range;
  [[nodiscard]] std::uint8_t operator()(std::uint8_t x, std::uint8_t alpha) const {
    const std::int32_t q = value[x] >= 0 ? positive[x] : multiply(value[x] * slope[alpha], negative_factor);
    return static_cast<std::uint8_t>(range.clamp(saturating_add(q, zero_point)));
  }
};

}  // namespace

/// out = x for x >= 0, else alpha * x. Source: reference/prelu.h, activations.cc PreluPrepare.
Result<PreparedOp> prepare_prelu(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(2, 2, 1));
  WAYSIDE_CHECK(node.expect_8bit(0));
  WAYSIDE_CHECK(node.expect_8bit(1));
  const Tensor& in = node.input(0);
  const Tensor& alpha = node.input(1);
  const Tensor& out = node.output();
  const auto broadcast = Broadcast::create(in.shape, alpha.shape);
  if (!broadcast || !(broadcast->out_shape == in.shape)) {
    return NodeView::corrupt("slopes {} do not broadcast to input {}", to_string(alpha.shape), to_string(in.shape));
  }
  WAYSIDE_CHECK(node.expect_output_shape(in.shape));
  Prelu prelu;
  WAYSIDE_TRY(const Multiplier identity,
              node.multiplier(double{in.quantization.scale / out.quantization.scale}, "scale ratio"));
  const float slope_factor = in.quantization.scale * alpha.quantization.scale / out.quantization.scale;
  WAYSIDE_TRY(prelu.negative_factor, node.multiplier(double{slope_factor}, "scale ratio"));
  for (std::size_t byte = 0; byte < 256; ++byte) {
    prelu.value[byte] = value_of(static_cast<std::uint8_t>(byte), in.type) - in.quantization.zero_point;
    prelu.positive[byte] = multiply(prelu.value[byte], identity);
    prelu.slope[byte] = value_of(static_cast<std::uint8_t>(byte), alpha.type) - alpha.quantization.zero_point;
  }
  prelu.zero_point = out.quantization.zero_point;
  prelu.range = type_range(out.type);
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.reads.push_back(1);
  prepared.op = make_operator([broadcast = *broadcast, prelu](const RunContext& context) {
    broadcast.apply(context.input<std::uint8_t>(0), context.input<std::uint8_t>(1), context.output<std::uint8_t>(),
                    prelu);
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
