// SPDX-License-Identifier: Apache-2.0
// Building of graphs, and the passes that need no calibration.
#include "optimizer/ir/graph.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wayside::optimizer::ir {
namespace {

int divide_up(int a, int b) { return (a + b - 1) / b; }

bool is_conv(const Op& op) { return op.kind == OpKind::conv || op.kind == OpKind::depthwise_conv; }

}  // namespace

SamePadding same_padding(int in, int kernel, int stride) {
  const int out = divide_up(in, stride);
  const int total = std::max((out - 1) * stride + kernel - in, 0);
  return {.before = total / 2, .after = total - total / 2};
}

Cost cost(const Graph& graph) {
  Cost sum;
  for (const Op& op : graph.ops) {
    if (!is_conv(op)) continue;
    const Shape& in = graph.tensors[op.inputs[0]].shape;
    const Shape& out = graph.tensors[op.output].shape;
    const auto per_output = static_cast<std::uint64_t>(op.kernel * op.kernel * (op.kind == OpKind::conv ? in[3] : 1));
    sum.mac_count += per_output * static_cast<std::uint64_t>(out[1] * out[2] * out[3]);
    sum.weight_count += per_output * static_cast<std::uint64_t>(out[3]);
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
  Op op{.kind = OpKind::conv, .inputs = {in}, .activation = activation, .kernel = kernel, .stride = stride};
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
  Op op{.kind = OpKind::depthwise_conv, .inputs = {in}, .activation = activation, .kernel = kernel, .stride = stride};
  const auto channels = static_cast<std::size_t>(shape[3]);
  if (batch_norm) op.norm.gamma.resize(channels);
  op.weight.resize(channels * static_cast<std::size_t>(kernel * kernel));
  op.bias.resize(channels);
  return append(std::move(op), std::move(name),
                {shape[0], divide_up(shape[1], stride), divide_up(shape[2], stride), shape[3]});
}

TensorId Builder::add(TensorId a, TensorId b, std::string name, Activation activation) {
  return append({.kind = OpKind::add, .inputs = {a, b}, .activation = activation}, std::move(name),
                graph_.tensors[a].shape);
}

TensorId Builder::resize_nearest(TensorId in, std::string name) {
  const Shape shape = graph_.tensors[in].shape;
  return append({.kind = OpKind::resize_nearest, .inputs = {in}}, std::move(name),
                {shape[0], 2 * shape[1], 2 * shape[2], shape[3]});
}

void fold_batch_norm(Graph& graph) {
  for (Op& op : graph.ops) {
    if (!is_conv(op) || op.norm.empty()) continue;
    const std::size_t channels = op.norm.gamma.size();
    const std::size_t per_channel = op.weight.size() / channels;
    for (std::size_t o = 0; o < channels; ++o) {
      const float factor = op.norm.gamma[o] / std::sqrt(op.norm.variance[o] + kBatchNormEpsilon);
      op.bias[o] = (op.bias[o] - op.norm.mean[o]) * factor + op.norm.beta[o];
      for (std::size_t i = 0; i < per_channel; ++i) {
        op.weight[op.kind == OpKind::conv ? o * per_channel + i : i * channels + o] *= factor;
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
