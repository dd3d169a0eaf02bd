// SPDX-License-Identifier: Apache-2.0
// Both networks run side by side, operator by operator, over all samples at once.
#include "optimizer/tune/refit.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/ir/torch_ops.h"
#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
namespace {

using base::Result;
using torch::indexing::Slice;

/// Samples, spread over the set, as far as two networks' largest tensors stay in memory.
constexpr std::size_t kMostSamples = 256, kMostValues = 200'000'000;
/// Unknowns of one equation: its matrix has so many rows and columns.
constexpr std::int64_t kMostUnknowns = 2400;
/// Places of the output, of all samples, that make the equations: so many for each unknown, at least.
constexpr std::int64_t kPlacesPerUnknown = 24, kLeastPlaces = 4000;
/// Pulls towards the present weights, in parts of the inputs' mean square: what the samples do not show stays.
constexpr double kRidge = 3e-2;

struct Layer {
  torch::Tensor weight, bias;  ///< [outputs, inputs of one group, kernel_h, kernel_w], [outputs]
};

Layer layer_of(const ir::Op& op) {
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

void put(const Layer& layer, ir::Op& op) {
  const bool depthwise = op.kind == ir::OpKind::depthwise_conv;
  const auto weight =
      (depthwise ? layer.weight.permute({1, 2, 3, 0}) : layer.weight.permute({0, 2, 3, 1})).contiguous();
  std::copy_n(weight.data_ptr<float>(), op.weight.size(), op.weight.begin());
  std::copy_n(layer.bias.contiguous().data_ptr<float>(), op.bias.size(), op.bias.begin());
}

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

std::int64_t groups_of(const ir::Op& op, const torch::Tensor& x) {
  return op.kind == ir::OpKind::depthwise_conv ? x.size(1) : 1;
}

/// Before the activation, [1,outputs,rows,columns].
torch::Tensor linear(const ir::Op& op, const Layer& layer, const torch::Tensor& x) {
  const auto& w = op.window;
  const auto in = padded(op, x);
  return torch::conv2d(in, layer.weight, layer.bias, {w.stride_h, w.stride_w}, at::IntArrayRef{0, 0},
                       {w.dilation_h, w.dilation_w}, groups_of(op, in));
}

/// One network, as far as it has run.
class Run {
 public:
  Run(const ir::Graph& graph, const std::vector<torch::Tensor>& inputs) : graph_(graph), uses_(ir::uses(graph)) {
    values_.assign(inputs.size(), std::vector<torch::Tensor>(graph.tensors.size()));
    for (std::size_t s = 0; s < inputs.size(); ++s) {
      for (std::size_t id = 0; id < graph.tensors.size(); ++id) {
        if (!graph.tensors[id].constant.empty()) values_[s][id] = ir::constant_tensor(graph.tensors[id]);
      }
      values_[s][graph.inputs[0]] = inputs[s];
    }
  }
  [[nodiscard]] std::vector<torch::Tensor> inputs(std::size_t op) const {
    std::vector<torch::Tensor> out;
    for (const auto& values : values_) out.push_back(values[graph_.ops[op].inputs[0]]);
    return out;
  }
  /// `layer`: where it has weights.
  void step(std::size_t index, const std::optional<Layer>& layer) {
    const ir::Op& op = graph_.ops[index];
    for (auto& values : values_) values[op.output] = result(op, layer, values);
    for (const auto id : op.inputs) {
      if (--uses_[id] > 0) continue;
      for (auto& values : values_) values[id] = torch::Tensor();
    }
  }

 private:
  [[nodiscard]] torch::Tensor result(const ir::Op& op, const std::optional<Layer>& layer,
                                     const std::vector<torch::Tensor>& values) const {
    const auto& shape = graph_.tensors[op.output].shape;
    if (!layer) {
      std::vector<torch::Tensor> in;
      for (const auto id : op.inputs) in.push_back(values[id]);
      return ir::run_plain(op, in, shape);
    }
    const auto y = ir::activate(op.activation, linear(op, *layer, values[op.inputs[0]]));
    if (op.kind != ir::OpKind::fully_connected) return y;
    const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    return ir::to_nchw(y.squeeze(-1).squeeze(0).t().reshape(sizes));
  }

  const ir::Graph& graph_;
  std::vector<std::size_t> uses_;
  std::vector<std::vector<torch::Tensor>> values_;  ///< [sample][tensor]
};

/// Channels of `masked`'s layer that are not all zero.
std::vector<std::int64_t> kept_channels(const ir::Op& op) {
  const auto layer = layer_of(op);
  const auto is_kept = ((layer.weight.flatten(1) != 0).any(1)).logical_or(layer.bias != 0);
  std::vector<std::int64_t> out;
  for (std::int64_t o = 0; o < is_kept.size(0); ++o) {
    if (is_kept[o].item<bool>()) out.push_back(o);
  }
  return out;
}

/// Adds the least change of the weights that brings linear(x) to `wanted`, [groups, outputs / groups, places] each.
Layer refitted(const ir::Op& op, const Layer& layer, const std::vector<torch::Tensor>& inputs,
               const std::vector<torch::Tensor>& wanted) {
  const auto& w = op.window;
  const std::int64_t groups = groups_of(op, inputs[0]), outputs = layer.weight.size(0);
  const std::int64_t unknowns = layer.weight[0].numel() + 1;
  auto square = torch::zeros({groups, unknowns, unknowns}, torch::kDouble);
  auto product = torch::zeros({groups, unknowns, outputs / groups}, torch::kDouble);
  const auto samples = static_cast<std::int64_t>(inputs.size());
  const std::int64_t places = std::max(kLeastPlaces, kPlacesPerUnknown * unknowns) / samples + 1;
  for (std::size_t s = 0; s < inputs.size(); ++s) {
    auto rows = torch::im2col(padded(op, inputs[s]), {w.kernel_h, w.kernel_w}, {w.dilation_h, w.dilation_w}, {0, 0},
                              {w.stride_h, w.stride_w})
                    .view({groups, unknowns - 1, -1});
    auto missing = (wanted[s] - linear(op, layer, inputs[s])).reshape({groups, outputs / groups, -1});
    const auto every = Slice(0, torch::indexing::None, std::max<std::int64_t>(1, rows.size(2) / places));
    rows = rows.index({Slice(), Slice(), every}).to(torch::kDouble);
    missing = missing.index({Slice(), Slice(), every}).to(torch::kDouble);
    rows = torch::cat({rows, torch::ones({groups, 1, rows.size(2)}, torch::kDouble)}, 1);
    square += rows.bmm(rows.transpose(1, 2));
    product += rows.bmm(missing.transpose(1, 2));
  }
  constexpr double kLeast = 1e-9;  // inputs that are always zero
  const auto pull = square.diagonal(0, 1, 2).mean(1).clamp_min(kLeast).view({groups, 1, 1}) * kRidge;
  const auto change = torch::linalg_solve(square + pull * torch::eye(unknowns, torch::kDouble), product)
                          .transpose(1, 2)
                          .reshape({outputs, unknowns})
                          .to(torch::kFloat);
  return {.weight = layer.weight + change.slice(1, 0, unknowns - 1).view(layer.weight.sizes()),
          .bias = layer.bias + change.select(1, unknowns - 1)};
}

Result<std::vector<torch::Tensor>> spread_samples(const ir::Graph& graph, const Samples& samples) {
  if (samples.count == 0)
    return base::fail(base::Code::invalid_argument, "refit: no samples; give frames of the kind that will be seen");
  std::size_t largest = 1;
  for (const auto& tensor : graph.tensors) largest = std::max(largest, ir::element_count(tensor.shape));
  constexpr std::size_t kLiveTensors = 8;  // of each network, at the largest size
  const std::size_t fitting = std::max<std::size_t>(1, kMostValues / (largest * kLiveTensors));
  const std::size_t count = std::min({samples.count, kMostSamples, fitting});
  std::vector<torch::Tensor> out;
  for (std::size_t i = 0; i < count; ++i) {
    WAYSIDE_TRY(auto x, load_sample(graph, samples, i * samples.count / count));
    out.push_back(std::move(x));
  }
  return out;
}

/// The teacher's run, as far as the student's needs it.
class Reference {
 public:
  Reference(const ir::Graph& teacher, const ir::Graph& masked, const std::vector<torch::Tensor>& inputs)
      : graph_(teacher), masked_(masked), run_(teacher, inputs) {
    for (std::size_t i = 0; i < teacher.ops.size(); ++i) places_[teacher.tensors[teacher.ops[i].output].name] = i;
  }
  /// What the layer of this name gives for each sample before its activation, in the channels that the student has;
  /// empty: none, or another form of layer.
  std::vector<torch::Tensor> wanted(const std::string& name, std::size_t channels) {
    const auto found = places_.find(name);
    if (found == places_.end() || found->second < next_ || !ir::has_weights(graph_.ops[found->second].kind)) return {};
    for (; next_ < found->second; ++next_) run_.step(next_, layer(next_));
    const ir::Op& op = graph_.ops[next_];
    auto kept = kept_channels(masked_.ops[next_]);
    if (channels == op.bias.size()) {
      kept.resize(channels);
      for (std::size_t o = 0; o < channels; ++o) kept[o] = static_cast<std::int64_t>(o);
    }
    if (kept.size() != channels) return {};
    const auto index = torch::tensor(kept);
    std::vector<torch::Tensor> out;
    for (const auto& x : run_.inputs(next_)) out.push_back(linear(op, *layer(next_), x).index_select(1, index));
    return out;
  }

 private:
  [[nodiscard]] std::optional<Layer> layer(std::size_t op) const {
    return ir::has_weights(graph_.ops[op].kind) ? std::optional(layer_of(graph_.ops[op])) : std::nullopt;
  }
  const ir::Graph &graph_, &masked_;
  Run run_;
  std::map<std::string, std::size_t> places_;
  std::size_t next_ = 0;  ///< the first operator that has not run
};

}  // namespace

Result<std::size_t> refit_layers(const ir::Graph& teacher, const ir::Graph& masked, ir::Graph& student,
                                 const Samples& samples) {
  const torch::NoGradGuard no_grad;
  WAYSIDE_TRY(const auto inputs, spread_samples(teacher, samples));
  Reference reference(teacher, masked, inputs);
  Run run(student, inputs);
  std::size_t done = 0;
  for (std::size_t i = 0; i < student.ops.size(); ++i) {
    ir::Op& op = student.ops[i];
    if (!ir::has_weights(op.kind)) {
      run.step(i, {});
      continue;
    }
    auto layer = layer_of(op);
    const auto wanted = reference.wanted(student.tensors[op.output].name, op.bias.size());
    if (!wanted.empty() && layer.weight[0].numel() < kMostUnknowns) {
      layer = refitted(op, layer, run.inputs(i), wanted);
      put(layer, op);
      ++done;
    }
    run.step(i, layer);
  }
  return done;
}

}  // namespace wayside::optimizer
