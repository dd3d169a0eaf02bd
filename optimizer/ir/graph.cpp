// SPDX-License-Identifier: Apache-2.0
// Building of graphs, and the passes that need no calibration.
#include "optimizer/ir/graph.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

namespace wayside::optimizer::ir {
namespace {

int divide_up(int a, int b) { return (a + b - 1) / b; }

SlidingWindow same_window(const Shape& in, int kernel, int stride) {
  const SamePadding rows = same_padding(in[1], kernel, stride), columns = same_padding(in[2], kernel, stride);
  return {.kernel_h = kernel,
          .kernel_w = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .top = rows.before,
          .left = columns.before,
          .bottom = rows.after,
          .right = columns.after};
}

}  // namespace

std::string_view to_string(OpKind kind) {
  constexpr std::array<std::string_view, 30> kNames{"conv",
                                                    "depthwise_conv",
                                                    "fully_connected",
                                                    "max_pool",
                                                    "average_pool",
                                                    "resize_nearest",
                                                    "resize_bilinear",
                                                    "add",
                                                    "sub",
                                                    "mul",
                                                    "div",
                                                    "relu",
                                                    "clip",
                                                    "leaky_relu",
                                                    "prelu",
                                                    "elu",
                                                    "logistic",
                                                    "tanh",
                                                    "hard_swish",
                                                    "exp",
                                                    "sqrt",
                                                    "abs",
                                                    "softmax",
                                                    "mean",
                                                    "sum",
                                                    "concat",
                                                    "reshape",
                                                    "transpose",
                                                    "slice",
                                                    "pad"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += std::format("{}{}", i == 0 ? "" : ",", shape[i]);
  return text + "]";
}

std::size_t element_count(const Shape& shape) {
  std::size_t count = 1;
  for (const int dim : shape) count *= static_cast<std::size_t>(dim);
  return count;
}

bool has_weights(OpKind kind) {
  return kind == OpKind::conv || kind == OpKind::depthwise_conv || kind == OpKind::fully_connected;
}

bool moves_only(OpKind kind) { return kind == OpKind::reshape || kind == OpKind::transpose || kind == OpKind::slice; }

SamePadding same_padding(int in, int kernel, int stride, int dilation) {
  const int out = divide_up(in, stride);
  const int total = std::max((out - 1) * stride + (kernel - 1) * dilation + 1 - in, 0);
  return {.before = total / 2, .after = total - total / 2};
}

bool is_same(const SlidingWindow& w, int rows, int columns) {
  const SamePadding y = same_padding(rows, w.kernel_h, w.stride_h, w.dilation_h);
  const SamePadding x = same_padding(columns, w.kernel_w, w.stride_w, w.dilation_w);
  return w.top == y.before && w.bottom == y.after && w.left == x.before && w.right == x.after;
}

bool is_valid(const SlidingWindow& w) { return w.top == 0 && w.left == 0 && w.bottom == 0 && w.right == 0; }

std::vector<std::size_t> producers(const Graph& graph) {
  std::vector<std::size_t> out(graph.tensors.size(), kNoOp);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) out[graph.ops[i].output] = i;
  return out;
}

std::vector<std::size_t> uses(const Graph& graph) {
  std::vector<std::size_t> out(graph.tensors.size());
  for (const Op& op : graph.ops) {
    for (const TensorId id : op.inputs) ++out[id];
  }
  for (const TensorId id : graph.outputs) ++out[id];
  return out;
}

Cost cost(const Graph& graph) {
  Cost sum;
  for (const Op& op : graph.ops) {
    if (!has_weights(op.kind)) continue;
    const Shape& in = graph.tensors[op.inputs[0]].shape;
    const Shape& out = graph.tensors[op.output].shape;
    const auto channels = static_cast<std::size_t>(out.back());
    const auto taps = static_cast<std::size_t>(op.window.kernel_h * op.window.kernel_w);
    const auto per_output = taps * (op.kind == OpKind::depthwise_conv ? 1 : static_cast<std::size_t>(in.back()));
    sum.mac_count += per_output * element_count(out);
    sum.weight_count += per_output * channels;
  }
  return sum;
}

TensorId Builder::append(Op op, std::string name, Shape shape) {
  op.output = graph_.tensors.size();
  graph_.tensors.push_back({std::move(name), shape});
  graph_.ops.push_back(std::move(op));
  return graph_.tensors.size() - 1;
}

TensorId Builder::input(std::string name, Shape shape) {
  graph_.tensors.push_back({std::move(name), shape});
  graph_.inputs.push_back(graph_.tensors.size() - 1);
  return graph_.tensors.size() - 1;
}

TensorId Builder::conv(TensorId in, std::string name, int out_channels, int kernel, int stride, Activation activation,
                       bool batch_norm) {
  const Shape shape = graph_.tensors[in].shape;
  Op op{.kind = OpKind::conv, .inputs = {in}, .activation = activation, .window = same_window(shape, kernel, stride)};
  const auto channels = static_cast<std::size_t>(out_channels);
  if (batch_norm) op.norm.gamma.resize(channels);
  op.weight.resize(channels * static_cast<std::size_t>(kernel * kernel * shape[3]));
  op.bias.resize(channels);
  return append(std::move(op), std::move(name),
                {shape[0], divide_up(shape[1], stride), divide_up(shape[2], stride), out_channels});
}

TensorId Builder::depthwise(TensorId in, std::string name, int kernel, int stride, Activation activation,
                            bool batch_norm) {
  const Shape shape = graph_.tensors[in].shape;
  Op op{.kind = OpKind::depthwise_conv,
        .inputs = {in},
        .activation = activation,
        .window = same_window(shape, kernel, stride)};
  const auto channels = static_cast<std::size_t>(shape[3]);
  if (batch_norm) op.norm.gamma.resize(channels);
  op.weight.resize(channels * static_cast<std::size_t>(kernel * kernel));
  op.bias.resize(channels);
  return append(std::move(op), std::move(name),
                {shape[0], divide_up(shape[1], stride), divide_up(shape[2], stride), shape[3]});
}

TensorId Builder::add(TensorId a, TensorId b, std::string name, Activation activation) {
  return append(Op{.kind = OpKind::add, .inputs = {a, b}, .activation = activation}, std::move(name),
                graph_.tensors[a].shape);
}

TensorId Builder::resize_nearest(TensorId in, std::string name) {
  const Shape shape = graph_.tensors[in].shape;
  return append(Op{.kind = OpKind::resize_nearest, .inputs = {in}}, std::move(name),
                {shape[0], 2 * shape[1], 2 * shape[2], shape[3]});
}

void fold_batch_norm(Graph& graph) {
  for (Op& op : graph.ops) {
    if (!has_weights(op.kind) || op.norm.empty()) continue;
    const std::size_t channels = op.norm.gamma.size();
    const std::size_t per_channel = op.weight.size() / channels;
    for (std::size_t o = 0; o < channels; ++o) {
      const float factor = op.norm.gamma[o] / std::sqrt(op.norm.variance[o] + kBatchNormEpsilon);
      op.bias[o] = (op.bias[o] - op.norm.mean[o]) * factor + op.norm.beta[o];
      for (std::size_t i = 0; i < per_channel; ++i) {
        op.weight[op.kind == OpKind::depthwise_conv ? i * channels + o : o * per_channel + i] *= factor;
      }
    }
    op.norm = {};
  }
}

void append_logistic(Graph& graph, TensorId tensor) {
  Tensor out = graph.tensors[tensor];
  graph.tensors[tensor].name += "_logits";
  const TensorId id = graph.tensors.size();
  graph.tensors.push_back(std::move(out));
  graph.ops.push_back({.kind = OpKind::logistic, .inputs = {tensor}, .output = id});
  std::ranges::replace(graph.outputs, tensor, id);
}

}  // namespace wayside::optimizer::ir
