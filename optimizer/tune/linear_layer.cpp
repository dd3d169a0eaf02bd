// SPDX-License-Identifier: Apache-2.0
// Views of weights and inputs as matrices.
#include "optimizer/tune/linear_layer.h"

#include <algorithm>
#include <vector>

#include "optimizer/ir/torch_ops.h"

namespace wayside::optimizer {
namespace {

using torch::indexing::None;
using torch::indexing::Slice;

/// So many for each unknown, at least.
constexpr std::int64_t kPlacesPerUnknown = 24, kLeastPlaces = 4000;

/// Fully connected: a picture of one column, whose rows are the places.
torch::Tensor as_picture(const ir::Op& op, const torch::Tensor& x) {
  if (op.kind != ir::OpKind::fully_connected) return x;
  const auto rows = ir::to_nhwc(x);
  return rows.reshape({-1, rows.size(-1)}).t().unsqueeze(0).unsqueeze(-1);
}

torch::Tensor padded(const ir::Op& op, const torch::Tensor& x) {
  const auto& w = op.window;
  return torch::constant_pad_nd(as_picture(op, x), {w.left, w.right, w.top, w.bottom});
}

}  // namespace

LinearLayer linear_layer_of(const ir::Op& op) {
  const auto outputs = static_cast<std::int64_t>(op.bias.size());
  const auto tensor = [](const std::vector<float>& values) {
    return torch::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())}).clone();
  };
  const auto flat = tensor(op.weight);
  const std::int64_t rows = op.window.kernel_h, columns = op.window.kernel_w;
  const auto weight = op.kind == ir::OpKind::depthwise_conv
                          ? flat.view({rows, columns, outputs, 1}).permute({2, 3, 0, 1})
                          : flat.view({outputs, rows, columns, -1}).permute({0, 3, 1, 2});
  return {.weight = weight.contiguous(), .bias = tensor(op.bias)};
}

void put(const LinearLayer& layer, ir::Op& op) {
  const bool depthwise = op.kind == ir::OpKind::depthwise_conv;
  const auto weight =
      (depthwise ? layer.weight.permute({1, 2, 3, 0}) : layer.weight.permute({0, 2, 3, 1})).contiguous();
  std::copy_n(weight.data_ptr<float>(), op.weight.size(), op.weight.begin());
  std::copy_n(layer.bias.contiguous().data_ptr<float>(), op.bias.size(), op.bias.begin());
}

std::int64_t groups_of(const ir::Op& op, const torch::Tensor& x) {
  return op.kind == ir::OpKind::depthwise_conv ? x.size(1) : 1;
}

torch::Tensor linear(const ir::Op& op, const LinearLayer& layer, const torch::Tensor& x) {
  const auto& w = op.window;
  const auto in = padded(op, x);
  return torch::conv2d(in, layer.weight, layer.bias, {w.stride_h, w.stride_w}, at::IntArrayRef{0, 0},
                       {w.dilation_h, w.dilation_w}, groups_of(op, in));
}

std::int64_t wanted_places(std::int64_t unknowns) { return std::max(kLeastPlaces, kPlacesPerUnknown * unknowns); }

torch::Tensor places_read(const ir::Op& op, const torch::Tensor& x, std::int64_t stride) {
  const auto& w = op.window;
  const std::int64_t groups = groups_of(op, x);
  auto rows = torch::im2col(padded(op, x), {w.kernel_h, w.kernel_w}, {w.dilation_h, w.dilation_w}, {0, 0},
                            {w.stride_h, w.stride_w});
  rows = rows.view({groups, -1, rows.size(2)}).index({Slice(), Slice(), Slice(0, None, stride)}).to(torch::kDouble);
  return torch::cat({rows, torch::ones({groups, 1, rows.size(2)}, torch::kDouble)}, 1);
}

std::int64_t place_count(const ir::Graph& graph, const ir::Op& op) {
  return static_cast<std::int64_t>(ir::element_count(graph.tensors[op.output].shape) / op.bias.size());
}

}  // namespace wayside::optimizer
