// SPDX-License-Identifier: Apache-2.0
// The graph's operators in terms of libtorch; this folder is libtorch's shim for running networks.
#include "optimizer/ir/torch_model.h"

#include <cmath>
#include <format>
#include <memory>
#include <utility>

namespace wayside::optimizer::ir {
namespace {

bool is_conv(const Op& op) { return op.kind == OpKind::conv || op.kind == OpKind::depthwise_conv; }

/// Running statistics take 3 % of each new batch: a few hundred steps of memory at most, as short trainings need.
constexpr double kBatchNormMomentum = 0.03;

torch::Tensor activate(Activation activation, torch::Tensor x) {
  // In place: neither convolution nor batch norm needs its result for the gradient. hardtanh's gradient is one pass
  // over memory where clamp's is four.
  if (activation == Activation::relu) return torch::relu_(x);
  if (activation == Activation::relu6) return torch::hardtanh_(x, 0, 6);
  return x;
}

/// [out,k,k,in] or [1,k,k,c] of the graph to torch's [out,in,k,k] or [c,1,k,k], and back.
torch::Tensor to_torch_weight(const Op& op, std::int64_t out, std::int64_t in) {
  const bool depthwise = op.kind == OpKind::depthwise_conv;
  auto flat =
      torch::from_blob(const_cast<float*>(op.weight.data()), {static_cast<std::int64_t>(op.weight.size())}).clone();
  auto shaped = depthwise ? flat.view({op.kernel, op.kernel, out, 1}).permute({2, 3, 0, 1})
                          : flat.view({out, op.kernel, op.kernel, in}).permute({0, 3, 1, 2});
  return shaped.contiguous(at::MemoryFormat::ChannelsLast);
}

std::vector<float> to_vector(const torch::Tensor& tensor) {
  const auto flat = tensor.detach().to(torch::kFloat).contiguous().flatten();
  const float* data = flat.data_ptr<float>();
  return {data, data + flat.numel()};
}

torch::Tensor from_vector(const std::vector<float>& values) {
  return torch::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())}).clone();
}

/// Symmetric per output channel, -127..127, as the quantiser does it.
torch::Tensor round_weight(const torch::Tensor& weight) {
  const auto scale = (weight.detach().abs().amax({1, 2, 3}) / 127).clamp_min(1e-8);
  const auto zero = torch::zeros({weight.size(0)}, torch::kInt);
  return torch::fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127);
}

}  // namespace

TorchModel::TorchModel(const Graph& graph) : graph_(graph), layers_(graph.ops.size()) {
  for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
    Op& op = graph_.ops[i];
    if (!is_conv(op)) continue;
    const std::int64_t out = graph_.tensors[op.output].shape[3];
    const std::int64_t in = op.kind == OpKind::conv ? graph_.tensors[op.inputs[0]].shape[3] : 1;
    Layer& layer = layers_[i];
    const double fan_out = op.kernel * op.kernel * (op.kind == OpKind::conv ? static_cast<double>(out) : 1.0);
    auto weight = (torch::randn({out, in, op.kernel, op.kernel}) * std::sqrt(2.0 / fan_out))
                      .contiguous(at::MemoryFormat::ChannelsLast);
    layer.weight = register_parameter(std::format("weight_{}", i), weight);
    layer.bias = register_parameter(std::format("bias_{}", i), torch::zeros({out}), op.norm.empty());
    if (!op.norm.empty()) {
      layer.gamma = register_parameter(std::format("gamma_{}", i), torch::ones({out}));
      layer.beta = register_parameter(std::format("beta_{}", i), torch::zeros({out}));
      layer.mean = register_buffer(std::format("mean_{}", i), torch::zeros({out}));
      layer.variance = register_buffer(std::format("variance_{}", i), torch::ones({out}));
    }
    op.weight.clear();
    op.bias.clear();
  }
}

torch::Tensor TorchModel::rounded(TensorId id, torch::Tensor x) const {
  if (ranges_.empty() || ranges_[id].scale == 0) return x;
  return torch::fake_quantize_per_tensor_affine(x, ranges_[id].scale, ranges_[id].zero_point, -128, 127);
}

torch::Tensor TorchModel::run_conv(const Op& op, const Layer& layer, torch::Tensor x) {
  const SamePadding rows = same_padding(static_cast<int>(x.size(2)), op.kernel, op.stride);
  const SamePadding columns = same_padding(static_cast<int>(x.size(3)), op.kernel, op.stride);
  const bool symmetric = rows.before == rows.after && columns.before == columns.after;
  if (!symmetric) x = torch::constant_pad_nd(x, {columns.before, columns.after, rows.before, rows.after});
  const std::int64_t groups = op.kind == OpKind::depthwise_conv ? x.size(1) : 1;
  const std::vector<std::int64_t> padding =
      symmetric ? std::vector<std::int64_t>{rows.before, columns.before} : std::vector<std::int64_t>{0, 0};
  const auto weight = ranges_.empty() ? layer.weight : round_weight(layer.weight);
  const bool norm = layer.gamma.defined();
  auto y =
      torch::conv2d(x, weight, norm ? torch::Tensor() : layer.bias, {op.stride, op.stride}, padding, {1, 1}, groups);
  if (norm) {
    y = torch::batch_norm(y, layer.gamma, layer.beta, layer.mean, layer.variance, is_training(), kBatchNormMomentum,
                          kBatchNormEpsilon, false);
  }
  return activate(op.activation, y);
}

std::vector<torch::Tensor> TorchModel::forward(const torch::Tensor& x) {
  std::vector<torch::Tensor> values(graph_.tensors.size());
  values[graph_.inputs[0]] = rounded(graph_.inputs[0], x);
  if (observer_) observer_(graph_.inputs[0], x);
  for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
    const Op& op = graph_.ops[i];
    const torch::Tensor& in = values[op.inputs[0]];
    torch::Tensor out;
    switch (op.kind) {
      case OpKind::conv:
      case OpKind::depthwise_conv: out = run_conv(op, layers_[i], in); break;
      case OpKind::add: out = activate(op.activation, in + values[op.inputs[1]]); break;
      case OpKind::resize_nearest: out = torch::upsample_nearest2d(in, {2 * in.size(2), 2 * in.size(3)}); break;
      case OpKind::logistic: out = torch::sigmoid(in); break;
    }
    if (observer_) observer_(op.output, out);
    values[op.output] = rounded(op.output, out);
  }
  std::vector<torch::Tensor> outputs;
  for (const TensorId id : graph_.outputs) outputs.push_back(values[id]);
  return outputs;
}

std::shared_ptr<TorchModel> TorchModel::twin() const {
  auto other = std::make_shared<TorchModel>(graph_);
  auto theirs = other->parameters();
  const auto ours = parameters();
  for (std::size_t i = 0; i < ours.size(); ++i) theirs[i].set_data(ours[i].detach());
  other->ranges_ = ranges_;
  other->train(is_training());
  return other;
}

void TorchModel::read_weights(const Graph& graph) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (!is_conv(op)) continue;
    Layer& layer = layers_[i];
    layer.weight.copy_(to_torch_weight(op, layer.weight.size(0), layer.weight.size(1)));
    layer.bias.copy_(from_vector(op.bias));
    if (!layer.gamma.defined()) continue;
    layer.gamma.copy_(from_vector(op.norm.gamma));
    layer.beta.copy_(from_vector(op.norm.beta));
    layer.mean.copy_(from_vector(op.norm.mean));
    layer.variance.copy_(from_vector(op.norm.variance));
  }
}

void TorchModel::write_weights(Graph& graph) const {
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    Op& op = graph.ops[i];
    if (!is_conv(op)) continue;
    const Layer& layer = layers_[i];
    const bool depthwise = op.kind == OpKind::depthwise_conv;
    op.weight = to_vector(depthwise ? layer.weight.permute({1, 2, 3, 0}) : layer.weight.permute({0, 2, 3, 1}));
    op.bias = to_vector(layer.bias);
    if (!layer.gamma.defined()) continue;
    op.norm = {to_vector(layer.gamma), to_vector(layer.beta), to_vector(layer.mean), to_vector(layer.variance)};
  }
}

}  // namespace wayside::optimizer::ir
