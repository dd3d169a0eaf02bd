// SPDX-License-Identifier: Apache-2.0
// RSQRT: the reciprocal of the square root, the only way to divide by a computed value that TFLite has in int8.
#include <cmath>
#include <cstdint>

#include "accel/cpu/ops/lookup.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {

using base::Result;

/// q = clamp(round(1 / (sqrt(scale_in * (x - zero_in)) * scale_out)) + zero_out); 127 where x <= zero_in (the reference
/// fails at run time below zero_in). In double where the reference uses fixed point: the same but for ties, which it
/// may round the other way. Source: kernels/elementwise.cc RsqrtEvalQuantized.
Result<PreparedOp> prepare_rsqrt(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  WAYSIDE_CHECK(node.expect_output_shape(node.input(0).shape));
  WAYSIDE_CHECK(node.expect_8bit());
  const DType type = node.output().type;
  if (type != DType::i8) return NodeView::unsupported("supported is int8, as in TFLite");
  const Quantization in = node.input(0).quantization, out = node.output().quantization;
  const double scale_in = in.scale, scale_out = out.scale;
  const Range range = type_range(type);
  const auto table = make_table(type, [&](std::int32_t x) {
    if (x <= in.zero_point) return range.max;
    const double steps = 1 / (std::sqrt(scale_in * (x - in.zero_point)) * scale_out);
    return range.clamp(saturating_add(round_to_i32(static_cast<float>(steps)), out.zero_point));
  });
  return lookup_operator(table, node);
}

}  // namespace wayside::accel::cpu::ops
