// SPDX-License-Identifier: Apache-2.0
// Prepare functions of all operators; each formula stands above its definition in the file named.
#pragma once

#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu::ops {

// binary.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_add(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_sub(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_mul(const NodeView& node);
// concatenation.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_concatenation(const NodeView& node);
// convolution.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_conv(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_depthwise_conv(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_fully_connected(const NodeView& node);
// transpose_conv.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_transpose_conv(const NodeView& node);
// layout.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_reshape(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_squeeze(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_expand_dims(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_transpose(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_pad(const NodeView& node);  // PAD and PADV2
[[nodiscard]] base::Result<PreparedOp> prepare_pack(const NodeView& node);
// lookup.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_logistic(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_tanh(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_relu(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_relu_n1_to_1(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_relu6(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_leaky_relu(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_hard_swish(const NodeView& node);
// pooling.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_average_pool(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_max_pool(const NodeView& node);
// prelu.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_prelu(const NodeView& node);
// quantize.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_quantize(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_dequantize(const NodeView& node);
// reduce.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_mean(const NodeView& node);
// resize.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_resize_nearest(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_resize_bilinear(const NodeView& node);
// rsqrt.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_rsqrt(const NodeView& node);
// slice.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_slice(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_strided_slice(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_split(const NodeView& node);
[[nodiscard]] base::Result<PreparedOp> prepare_unpack(const NodeView& node);
// softmax.cpp
[[nodiscard]] base::Result<PreparedOp> prepare_softmax(const NodeView& node);

}  // namespace wayside::accel::cpu::ops
