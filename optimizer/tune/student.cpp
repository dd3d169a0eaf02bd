// SPDX-License-Identifier: Apache-2.0
// Learned scales; gradients pass straight through rounding.
#include "optimizer/tune/student.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <memory>
#include <numeric>

#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer {
namespace {

/// Scales that TFLite prescribes.
bool is_prescribed(ir::OpKind kind) {
  return kind == ir::OpKind::logistic || kind == ir::OpKind::softmax || kind == ir::OpKind::tanh;
}

}  // namespace

Student::Student(const ir::Graph& graph, const FinetuneOptions& options)
    : graph_(graph),
      scheme_(options.scheme),
      model_(register_module("network", std::make_shared<ir::TorchModel>(graph))),
      values_(graph.tensors.size()) {
  model_->read_weights(graph);
  model_->eval();
  if (options.keep_zeros) {
    for (const auto& parameter : model_->parameters())
      masks_.push_back(parameter.dim() > 1 ? (parameter.detach() != 0).to(torch::kFloat) : torch::Tensor());
  }
  model_->observe([this](ir::TensorId id, const torch::Tensor& x) { values_[id] = x; });
  if (scheme_.empty()) return;
  choose_settling();
  choose_learned(options.learn_scales);
  if (!options.learn_scales) return;
  auto logarithms = torch::zeros({static_cast<std::int64_t>(graph.tensors.size())});
  for (std::size_t id = 0; id < learned_.size(); ++id) {
    if (learned_[id]) logarithms[static_cast<std::int64_t>(id)] = std::log(scheme_.activations[id].scale);
  }
  log_scales_ = register_parameter("log_scales", logarithms);
  model_->round_activations([this](ir::TensorId id, const torch::Tensor& x) { return rounded(id, x); });
}

/// The largest weight of a channel settles at once: the channel's scale is told by it, and stays.
void Student::choose_settling() {
  Scheme simulated = scheme_;
  const auto parameters = model_->named_parameters();
  for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
    if (!ir::has_weights(graph_.ops[i].kind) || scheme_.weight(i) != WeightFormat::int4) continue;
    simulated.weights[i] = WeightFormat::float32;
    const auto weight = parameters[std::format("weight_{}", i)];
    const auto size = weight.detach().flatten(1).abs(), largest = size.amax(1, true);
    std::vector<std::int64_t> per_channel(static_cast<std::size_t>(weight.dim()), 1);
    per_channel[0] = weight.size(0);
    settling_.push_back(
        {.weight = weight,
         .scale = (largest / most_level(WeightFormat::int4)).clamp_min(kLeastScale).view(per_channel),
         .is_settled = register_buffer(std::format("is_settled_{}", i), (size == largest).view(weight.sizes()))});
  }
  model_->fake_quantize(simulated);
}

std::vector<std::optional<double>> Student::level_sizes() const {
  std::vector<std::optional<double>> out;
  for (const auto& parameter : parameters()) {
    const auto layer = std::ranges::find_if(settling_, [&](const Settling& s) { return s.weight.is_same(parameter); });
    out.push_back(layer == settling_.end() ? std::nullopt : std::optional(layer->scale.mean().item<double>()));
  }
  return out;
}

torch::Tensor Student::Settling::nearest() const {
  constexpr int kMost = most_level(WeightFormat::int4);
  return (weight.detach() / scale).round().clamp(-kMost, kMost) * scale;
}

void Student::settle(double done) {
  // In few large parts those that are left would have to make up for too much at once. The second half of the training
  // is for biases and scales.
  constexpr double kParts = 40, kFirst = 0.1, kLast = 0.5;
  const double part = std::floor((done - kFirst) / (kLast - kFirst) * kParts) / kParts;
  if (part <= 0) return;
  // Most weights lie near a level: more of them settle at first.
  const double share = std::sqrt(std::min(part, 1.0));
  const torch::NoGradGuard no_grad;
  for (const Settling& layer : settling_) {
    const auto count = static_cast<std::int64_t>(std::llround(share * static_cast<double>(layer.weight.numel())));
    const auto distance = ((layer.weight - layer.nearest()).abs() / layer.scale).masked_fill(layer.is_settled, -1);
    const auto order = std::get<1>(distance.flatten().sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
    auto settled = layer.is_settled.flatten().clone();
    layer.is_settled.copy_(settled.index_fill_(0, order.slice(0, 0, count), true).view(layer.is_settled.sizes()));
  }
  hold();
}

void Student::round_weights() {
  const torch::NoGradGuard no_grad;
  for (Settling& layer : settling_) layer.weight.copy_(layer.nearest());
}

void Student::choose_learned(bool learn) {
  owners_.resize(graph_.tensors.size());
  std::iota(owners_.begin(), owners_.end(), ir::TensorId{0});
  learned_.assign(graph_.tensors.size(), false);
  for (const auto& op : graph_.ops) {
    if (keeps_scale(op.kind)) {
      owners_[op.output] = owners_[op.inputs[0]];
    } else {
      learned_[op.output] = learn && !is_prescribed(op.kind) && scheme_.activations[op.output].scale > 0;
    }
  }
}

torch::Tensor Student::rounded(ir::TensorId id, const torch::Tensor& x) const {
  if (scheme_.empty()) return x;
  const auto owner = owners_[id];
  const TensorQuantization& q = scheme_.activations[owner];
  if (q.scale == 0) return x;
  if (!learned_[owner]) return torch::fake_quantize_per_tensor_affine(x, q.scale, q.zero_point, -128, 127);
  const auto scale = log_scales_[static_cast<std::int64_t>(owner)].exp();
  const auto steps = torch::clamp(x / scale + q.zero_point, -128, 127);
  return (steps + (steps.round() - steps).detach() - q.zero_point) * scale;
}

std::vector<torch::Tensor> Student::state() const {
  std::vector<torch::Tensor> out;
  for (const auto& parameter : parameters()) out.push_back(parameter.detach().clone());
  return out;
}

void Student::restore(const std::vector<torch::Tensor>& state) {
  const torch::NoGradGuard no_grad;
  auto mine = parameters();
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i].copy_(state[i]);
}

void Student::hold() {
  const torch::NoGradGuard no_grad;
  for (Settling& layer : settling_) layer.weight.copy_(torch::where(layer.is_settled, layer.nearest(), layer.weight));
  const auto parameters = model_->parameters();
  for (std::size_t i = 0; i < masks_.size(); ++i) {
    if (masks_[i].defined()) parameters[i].mul_(masks_[i]);
  }
}

Scheme Student::scheme() const {
  Scheme out = scheme_;
  for (std::size_t id = 0; id < owners_.size(); ++id) {
    const auto owner = owners_[id];
    out.activations[id] = scheme_.activations[owner];
    if (learned_[owner])
      out.activations[id].scale = std::exp(log_scales_[static_cast<std::int64_t>(owner)].item<float>());
  }
  return out;
}

}  // namespace wayside::optimizer
