// SPDX-License-Identifier: Apache-2.0
// All operators that the engine has, in the order of their codes.
#include "accel/cpu/ops/op_table.h"

#include <algorithm>

#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu {
namespace {

constexpr OpEntry kOps[] = {
    {OpCode::add, "ADD", ops::prepare_add},
    {OpCode::average_pool_2d, "AVERAGE_POOL_2D", ops::prepare_average_pool},
    {OpCode::concatenation, "CONCATENATION", ops::prepare_concatenation},
    {OpCode::conv_2d, "CONV_2D", ops::prepare_conv},
    {OpCode::depthwise_conv_2d, "DEPTHWISE_CONV_2D", ops::prepare_depthwise_conv},
    {OpCode::dequantize, "DEQUANTIZE", ops::prepare_dequantize},
    {OpCode::fully_connected, "FULLY_CONNECTED", ops::prepare_fully_connected},
    {OpCode::logistic, "LOGISTIC", ops::prepare_logistic},
    {OpCode::max_pool_2d, "MAX_POOL_2D", ops::prepare_max_pool},
    {OpCode::mul, "MUL", ops::prepare_mul},
    {OpCode::relu, "RELU", ops::prepare_relu},
    {OpCode::relu_n1_to_1, "RELU_N1_TO_1", ops::prepare_relu_n1_to_1},
    {OpCode::relu6, "RELU6", ops::prepare_relu6},
    {OpCode::reshape, "RESHAPE", ops::prepare_reshape},
    {OpCode::resize_bilinear, "RESIZE_BILINEAR", ops::prepare_resize_bilinear},
    {OpCode::softmax, "SOFTMAX", ops::prepare_softmax},
    {OpCode::tanh, "TANH", ops::prepare_tanh},
    {OpCode::pad, "PAD", ops::prepare_pad},
    {OpCode::transpose, "TRANSPOSE", ops::prepare_transpose},
    {OpCode::mean, "MEAN", ops::prepare_mean},
    {OpCode::sub, "SUB", ops::prepare_sub},
    {OpCode::squeeze, "SQUEEZE", ops::prepare_squeeze},
    {OpCode::strided_slice, "STRIDED_SLICE", ops::prepare_strided_slice},
    {OpCode::split, "SPLIT", ops::prepare_split},
    {OpCode::prelu, "PRELU", ops::prepare_prelu},
    {OpCode::padv2, "PADV2", ops::prepare_pad},
    {OpCode::slice, "SLICE", ops::prepare_slice},
    {OpCode::transpose_conv, "TRANSPOSE_CONV", ops::prepare_transpose_conv},
    {OpCode::expand_dims, "EXPAND_DIMS", ops::prepare_expand_dims},
    {OpCode::rsqrt, "RSQRT", ops::prepare_rsqrt},
    {OpCode::pack, "PACK", ops::prepare_pack},
    {OpCode::unpack, "UNPACK", ops::prepare_unpack},
    {OpCode::resize_nearest_neighbor, "RESIZE_NEAREST_NEIGHBOR", ops::prepare_resize_nearest},
    {OpCode::leaky_relu, "LEAKY_RELU", ops::prepare_leaky_relu},
    {OpCode::quantize, "QUANTIZE", ops::prepare_quantize},
    {OpCode::hard_swish, "HARD_SWISH", ops::prepare_hard_swish},
};

}  // namespace

std::span<const OpEntry> op_table() { return kOps; }

const OpEntry* find_op(std::int32_t builtin_code) {
  const auto* found = std::ranges::find(kOps, static_cast<OpCode>(builtin_code), &OpEntry::code);
  return found == std::end(kOps) ? nullptr : found;
}

}  // namespace wayside::accel::cpu
