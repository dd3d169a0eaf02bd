// SPDX-License-Identifier: Apache-2.0
// The graph's operators in terms of libtorch; this folder is libtorch's shim for running networks.
#include "optimizer/ir/torch_model.h"

#include <cmath>
#include <format>
#include <memory>
#include <utility>

#include "optimizer/ir/torch_ops.h"

namespace wayside::optimizer::ir {
namespace {

/// Running statistics take 3 % of each new batch: a few hundred steps of memory at most, as short trainings need.
constexpr double kBatchNormMomentum = 0.03;

/// [out,kh,kw,in] or [1,kh,kw,out] of the graph to torch's [out,in,kh,kw] or [out,1,kh,kw]; [out,in] stays.
torch::Tensor to_torch_weight(const Op& op, std::int64_t out, std::int64_t in) {
  const std::int64_t rows = op.window.kernel_h, columns = op.window.kernel_w;
  auto flat =
      torch::from_blob(const_cast<float*>(op.weight.data()), {static_cast<std::int64_t>(op.weight.size())}).clone();
  if (op.kind == OpKind::fully_connected) return flat.view({out, in});
  auto shaped = op.kind == OpKind::depthwise_conv ? flat.view({rows, columns, out, 1}).permute({2, 3, 0, 1})
                                                  : flat.view({out, rows, columns, in}).permute({0, 3, 1, 2});
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

/// As the quantiser does it.
torch::Tensor round_weight(const torch::Tensor& weight, WeightFormat format) {
  if (format == WeightFormat::float32) return weight;
  if (format == WeightFormat::float16)  // the gradient passes straight through
    return weight + (weight.to(torch::kHalf).to(torch::kFloat) - weight).detach();
  const int level = most_level(format);
  const auto scale = (weight.detach().flatten(1).abs().amax(1) / level).clamp_min(kLeastScale);
  const auto zero = torch::zeros({weight.size(0)}, torch::kInt);
  return torch::fake_quantize_per_channel_affine(weight, scale, zero, 0, -level, level);
}

}  // namespace

TorchModel::TorchModel(const Graph& graph) : graph_(graph), layers_(graph.ops.size()) {
  for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
    Op& op = graph_.ops[i];
    if (!has_weights(op.kind)) continue;
    const std::int64_t out = graph_.tensors[op.output].shape.back();
    const std::int64_t in = op.kind == OpKind::depthwise_conv ? 1 : graph_.tensors[op.inputs[0]].shape.back();
    Layer& layer = layers_[i];
    const double taps = op.window.kernel_h * op.window.kernel_w;
    const double fan_out = taps * (op.kind == OpKind::depthwise_conv ? 1.0 : static_cast<double>(out));
    auto weight = op.kind == OpKind::fully_connected ? torch::randn({out, in})
                                                     : torch::randn({out, in, op.window.kernel_h, op.window.kernel_w});
    weight *= std::sqrt(2.0 / fan_out);
    if (weight.dim() == 4) weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
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
  constants_.resize(graph_.tensors.size());
  for (std::size_t id = 0; id < constants_.size(); ++id) {
    if (!graph_.tensors[id].constant.empty()) constants_[id] = constant_tensor(graph_.tensors[id]);
  }
}

torch::Tensor TorchModel::rounded(TensorId id, torch::Tensor x) const {
  if (scheme_.empty() || scheme_.activations[id].scale == 0) return x;
  const TensorQuantization& q = scheme_.activations[id];
  if (!torch::GradMode::is_enabled()) {  // the same bits as below, ten times faster
    const int low = -128 - q.zero_point, high = 127 - q.zero_point;
    return (x * (1.0F / q.scale)).round_().clamp_(low, high).mul_(q.scale);
  }
  return torch::fake_quantize_per_tensor_affine(x, q.scale, q.zero_point, -128, 127);
}

torch::Tensor TorchModel::run_weighted(std::size_t index, torch::Tensor x) {
  const Op& op = graph_.ops[index];
  const Layer& layer = layers_[index];
  const auto weight = scheme_.empty() ? layer.weight : round_weight(layer.weight, scheme_.weight(index));
  if (op.kind == OpKind::fully_connected) {
    return activate(op.activation, to_nchw(torch::linear(to_nhwc(x), weight, layer.bias)));
  }
  const SlidingWindow& w = op.window;
  const bool symmetric = w.top == w.bottom && w.left == w.right;
  if (!symmetric) x = torch::constant_pad_nd(x, {w.left, w.right, w.top, w.bottom});
  const std::int64_t groups = op.kind == OpKind::depthwise_conv ? x.size(1) : 1;
  const std::vector<std::int64_t> padding =
      symmetric ? std::vector<std::int64_t>{w.top, w.left} : std::vector<std::int64_t>{0, 0};
  const bool norm = layer.gamma.defined();
  auto y = torch::conv2d(x, weight, norm ? torch::Tensor() : layer.bias, {w.stride_h, w.stride_w}, padding,
                         {w.dilation_h, w.dilation_w}, groups);
  if (norm) {
    y = torch::batch_norm(y, layer.gamma, layer.beta, layer.mean, layer.variance, is_training(), kBatchNormMomentum,
                          kBatchNormEpsilon, false);
  }
  return activate(op.activation, y);
}

std::vector<torch::Tensor> TorchModel::forward(const std::vector<torch::Tensor>& inputs) {
  auto values = begin(inputs);
  run(0, graph_.ops.size(), values);
  std::vector<torch::Tensor> outputs;
  for (const TensorId id : graph_.outputs) outputs.push_back(values[id]);
  return outputs;
}

std::vector<torch::Tensor> TorchModel::begin(const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> values(constants_.size());
  for (TensorId id = 0; id < values.size(); ++id) {
    if (constants_[id].defined()) values[id] = rounded(id, constants_[id]);
  }
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const TensorId id = graph_.inputs[i];
    values[id] = rounding_ ? rounding_(id, inputs[i]) : rounded(id, inputs[i]);
    if (observer_) observer_(id, inputs[i]);
  }
  return values;
}

void TorchModel::run(std::size_t first, std::size_t last, std::vector<torch::Tensor>& values) {
  for (std::size_t i = first; i < last; ++i) {
    const Op& op = graph_.ops[i];
    torch::Tensor out;
    if (has_weights(op.kind)) {
      out = run_weighted(i, values[op.inputs[0]]);
    } else {
      std::vector<torch::Tensor> in;
      for (const TensorId id : op.inputs) in.push_back(values[id]);
      out = run_plain(op, in, graph_.tensors[op.output].shape);
    }
    if (observer_) observer_(op.output, out);
    values[op.output] = rounding_ ? rounding_(op.output, out) : rounded(op.output, out);
  }
}

std::shared_ptr<TorchModel> TorchModel::twin() const {
  auto other = std::make_shared<TorchModel>(graph_);
  auto theirs = other->parameters();
  const auto ours = parameters();
  for (std::size_t i = 0; i < ours.size(); ++i) theirs[i].set_data(ours[i].detach());
  other->scheme_ = scheme_;
  other->train(is_training());
  return other;
}

void TorchModel::read_weights(const Graph& graph) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (!has_weights(op.kind)) continue;
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
    if (!has_weights(op.kind)) continue;
    const Layer& layer = layers_[i];
    const bool depthwise = op.kind == OpKind::depthwise_conv;
    if (op.kind == OpKind::fully_connected) {
      op.weight = to_vector(layer.weight);
    } else {
      op.weight = to_vector(depthwise ? layer.weight.permute({1, 2, 3, 0}) : layer.weight.permute({0, 2, 3, 1}));
    }
    op.bias = to_vector(layer.bias);
    if (!layer.gamma.defined()) continue;
    op.norm = {to_vector(layer.gamma), to_vector(layer.beta), to_vector(layer.mean), to_vector(layer.variance)};
  }
}

}  // namespace wayside::optimizer::ir
