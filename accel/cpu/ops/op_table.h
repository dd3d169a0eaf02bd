// SPDX-License-Identifier: Apache-2.0
// The one table of supported operators: builtin code, name, prepare function.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu {

/// Numbers of tensorflow/lite/schema/schema.fbs, enum BuiltinOperator.
enum class OpCode : std::int32_t {
  add = 0,
  average_pool_2d = 1,
  concatenation = 2,
  conv_2d = 3,
  depthwise_conv_2d = 4,
  dequantize = 6,
  fully_connected = 9,
  logistic = 14,
  max_pool_2d = 17,
  mul = 18,
  relu = 19,
  relu_n1_to_1 = 20,
  relu6 = 21,
  reshape = 22,
  resize_bilinear = 23,
  softmax = 25,
  tanh = 28,
  custom = 32,
  pad = 34,
  transpose = 39,
  mean = 40,
  sub = 41,
  squeeze = 43,
  strided_slice = 45,
  split = 49,
  prelu = 54,
  padv2 = 60,
  slice = 65,
  transpose_conv = 67,
  expand_dims = 70,
  rsqrt = 76,
  pack = 83,
  unpack = 88,
  resize_nearest_neighbor = 97,
  leaky_relu = 98,
  quantize = 114,
  hard_swish = 117,
};

/// Checks the node against the formula of its operator and returns it ready to run.
using PrepareFunction = base::Result<PreparedOp> (*)(const NodeView& node);

struct OpEntry {
  OpCode code;
  std::string_view name;
  PrepareFunction prepare;
};

[[nodiscard]] std::span<const OpEntry> op_table();
/// Nothing for operators that the engine does not have.
[[nodiscard]] const OpEntry* find_op(std::int32_t builtin_code);

}  // namespace wayside::accel::cpu
