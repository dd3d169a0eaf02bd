// SPDX-License-Identifier: Apache-2.0
// A layer is a matrix: its inputs at some places (patches of a picture) are rows.
#include "optimizer/quantize/adaround.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "optimizer/ir/torch_model.h"
#include "optimizer/ir/torch_ops.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::Result;
using ir::Op;
using ir::OpKind;
using torch::Tensor;

/// Places of all samples together, and of one step of the optimiser.
constexpr std::size_t kRows = 4096, kBatchRows = 256;
/// Ends of the rectified sigmoid, the regulariser's weight, its exponent at first and at last, and the share of the
/// steps without it. Source: the paper, section 3.2 and 4.
constexpr double kZeta = 1.1, kGamma = -0.1, kLambda = 0.01, kFirstBeta = 20, kLastBeta = 2, kWarmUp = 0.2;

/// The layer's inputs as rows: [places, inputs * taps], depthwise [places, outputs, taps].
Tensor rows_of(const Op& op, const Tensor& x, const Tensor& places, std::int64_t outputs) {
  if (op.kind == OpKind::fully_connected)
    return ir::to_nhwc(x).reshape({-1, ir::to_nhwc(x).size(-1)}).index_select(0, places);
  const ir::SlidingWindow& w = op.window;
  const auto padded = torch::constant_pad_nd(x, {w.left, w.right, w.top, w.bottom}).contiguous();
  const auto columns = torch::im2col(padded, {w.kernel_h, w.kernel_w}, {w.dilation_h, w.dilation_w}, {0, 0},
                                     {w.stride_h, w.stride_w})[0];
  const auto rows = columns.index_select(1, places).t().contiguous();
  if (op.kind == OpKind::conv) return rows;
  const std::int64_t inputs = x.size(1);
  return rows.view({rows.size(0), inputs, -1}).repeat_interleave(outputs / inputs, 1);
}

/// Before the activation; weight is [outputs, ..].
Tensor product(const Tensor& rows, const Tensor& weight, const Tensor& bias) {
  const auto flat = weight.flatten(1);
  return rows.dim() == 2 ? torch::matmul(rows, flat.t()) + bias : (rows * flat).sum(2) + bias;
}

std::size_t places_of(const ir::Graph& graph, const Op& op) {
  const ir::Shape& shape = graph.tensors[op.output].shape;
  return ir::element_count(shape) / static_cast<std::size_t>(shape.back());
}

/// Weight and bias of one layer as libtorch has them.
class LayerWeights {
 public:
  LayerWeights(const ir::Graph& graph, const Op& op) {
    alone_.tensors = {graph.tensors[op.inputs[0]], graph.tensors[op.output]};
    alone_.ops = {op};
    alone_.ops[0].inputs = {0};
    alone_.ops[0].output = 1;
    model_ = std::make_unique<ir::TorchModel>(alone_);
    model_->read_weights(alone_);
  }
  [[nodiscard]] Tensor weight() const { return model_->parameters()[0].detach(); }
  [[nodiscard]] Tensor bias() const { return model_->parameters()[1].detach(); }
  /// Puts them into `op`.
  void write(const Tensor& weight, const Tensor& bias, Op& op) {
    const torch::NoGradGuard no_grad;
    model_->parameters()[0].copy_(weight);
    model_->parameters()[1].copy_(bias);
    model_->write_weights(alone_);
    op.weight = alone_.ops[0].weight;
    op.bias = alone_.ops[0].bias;
  }

 private:
  ir::Graph alone_;
  std::unique_ptr<ir::TorchModel> model_;
};

/// What one layer has to reconstruct.
struct Problem {
  Tensor rows;      ///< inputs in the rounded network
  Tensor before;    ///< wanted outputs before the activation
  Tensor wanted;    ///< and after it
  double size = 0;  ///< mean square of the wanted outputs
};

double error_of(const Problem& problem, const Op& op, const Tensor& weight, const Tensor& bias) {
  const auto got = ir::activate(op.activation, product(problem.rows, weight, bias));
  return (got - problem.wanted).square().mean().item<double>();
}

class Rounder {
 public:
  Rounder(const ir::Graph& exact, ir::Graph& graph, const Scheme& scheme, const std::vector<ir::Values>& samples,
          const AdaRoundOptions& options)
      : exact_(exact), graph_(graph), scheme_(scheme), samples_(samples), options_(options), random_(options.seed) {}

  Result<void> run(const std::function<bool(double)>& progress) {
    const auto layers = layers_to_round();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto report = [&](double done) {
        return !progress || progress((static_cast<double>(i) + done) / static_cast<double>(layers.size()));
      };
      if (!round_layer(layers[i], report)) return base::fail(Code::bad_state, "stopped");
    }
    return {};
  }

 private:
  [[nodiscard]] std::vector<std::size_t> layers_to_round() const {
    const auto level = [&](std::size_t i) { return most_level(scheme_.weight(i)); };
    std::vector<std::size_t> layers;
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
      const auto format = scheme_.weight(i);
      if (!has_weights(graph_.ops[i].kind) || (format != WeightFormat::int8 && format != WeightFormat::int4)) continue;
      if (!layers.empty() && level(i) < level(layers[0])) layers.clear();
      if (layers.empty() || level(i) == level(layers[0])) layers.push_back(i);
    }
    return layers;
  }

  /// The layer's inputs in both networks at seeded places.
  Problem problem_of(std::size_t index, const LayerWeights& exact) {
    const Op& op = graph_.ops[index];
    const std::size_t places = places_of(graph_, op);
    constexpr std::size_t kLeastSamples = 64;
    const std::size_t count = std::min(samples_.size(), std::max(kLeastSamples, kRows / places));
    const std::size_t each = std::clamp<std::size_t>(kRows / count, 1, places);
    const auto outputs = static_cast<std::int64_t>(op.bias.size());
    Tensor now;
    const auto watch = [&](ir::TensorId id, const Tensor& x) {
      if (id == op.inputs[0]) now = x.detach().clone();
    };
    ir::TorchModel float_model(exact_), rounded_model(graph_);
    float_model.read_weights(exact_);
    rounded_model.read_weights(graph_);
    rounded_model.fake_quantize(scheme_);
    for (auto* model : {&float_model, &rounded_model}) {
      model->eval();
      model->observe(watch);
    }
    const ir::Shape& shape = graph_.tensors[graph_.inputs[0]].shape;
    const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    std::vector<Tensor> float_rows, rows;
    for (std::size_t i = 0; i < count; ++i) {
      auto values = samples_[i * samples_.size() / count];
      const auto x = ir::to_nchw(torch::from_blob(values.data(), sizes).clone());
      std::vector<std::int64_t> chosen(each);
      for (auto& place : chosen) place = static_cast<std::int64_t>(random_() % places);
      const auto at = torch::tensor(chosen);
      float_model.forward(x);
      float_rows.push_back(rows_of(op, now, at, outputs));
      rounded_model.forward(x);
      const auto& q = scheme_.activations[op.inputs[0]];
      if (q.scale > 0) now = torch::fake_quantize_per_tensor_affine(now, q.scale, q.zero_point, -128, 127);
      rows.push_back(rows_of(op, now, at, outputs));
    }
    Problem problem{.rows = torch::cat(rows),
                    .before = product(torch::cat(float_rows), exact.weight(), exact.bias()),
                    .wanted = {}};
    problem.wanted = ir::activate(op.activation, problem.before.clone());
    constexpr double kLeast = 1e-12;  // of a layer that always gives 0
    problem.size = std::max(problem.wanted.square().mean().item<double>(), kLeast);
    return problem;
  }

  bool round_layer(std::size_t index, const std::function<bool(double)>& progress) {
    Op& op = graph_.ops[index];
    const LayerWeights exact(exact_, exact_.ops[index]);
    LayerWeights mine(graph_, op);
    Problem problem;
    {
      const torch::NoGradGuard no_grad;
      problem = problem_of(index, exact);
    }
    const int level = most_level(scheme_.weight(index));
    const auto weight = mine.weight();
    std::vector<std::int64_t> per_channel(static_cast<std::size_t>(weight.dim()), 1);
    per_channel[0] = weight.size(0);
    const auto scale = (weight.flatten(1).abs().amax(1) / level).clamp_min(kLeastScale).view(per_channel);
    const auto learned = learn(op, problem, weight / scale, scale, level, mine.bias(), progress);
    if (!learned.defined()) return false;
    const torch::NoGradGuard no_grad;
    const auto nearest = (weight / scale).round().clamp(-level, level) * scale;
    const auto a = corrected(problem, learned, exact.bias()), b = corrected(problem, nearest, exact.bias());
    if (error_of(problem, op, learned, a) <= error_of(problem, op, nearest, b))
      mine.write(learned, a, op);
    else
      mine.write(nearest, b, op);
    return true;
  }

  [[nodiscard]] Tensor corrected(const Problem& problem, const Tensor& weight, const Tensor& bias) const {
    if (!options_.correct_bias) return bias;
    return bias + (problem.before - product(problem.rows, weight, bias)).mean(0);
  }

  /// Undefined when stopped. `steps`: the weights in units of their scale.
  Tensor learn(const Op& op, const Problem& problem, const Tensor& steps, const Tensor& scale, int level,
               const Tensor& bias, const std::function<bool(double)>& progress) {
    // The largest weights decide the scale; they stay, whatever their last bit says.
    constexpr double kAtTheEnd = 1e-3;
    const auto at_end = steps.abs() > level - kAtTheEnd;
    const auto floor = torch::where(at_end, steps.round(), steps.floor());
    const auto fraction = ((steps - floor - kGamma) / (kZeta - kGamma)).clamp(1e-4, 1 - 1e-4);
    auto choice = torch::log(fraction / (1 - fraction)).clone().set_requires_grad(true);  // the sigmoid's inverse
    constexpr double kTravel = 10;  // how far a choice can go: from one end of the sigmoid to the other
    torch::optim::Adam adam({choice},
                            torch::optim::AdamOptions(std::max(1e-2, kTravel / static_cast<double>(options_.steps))));
    const auto up = [&] {
      return (torch::sigmoid(choice) * (kZeta - kGamma) + kGamma).clamp(0, 1).masked_fill(at_end, 0);
    };
    const auto rows = static_cast<std::size_t>(problem.rows.size(0));
    for (std::int64_t step = 0; step < options_.steps; ++step) {
      const double done = static_cast<double>(step) / static_cast<double>(options_.steps);
      if (!progress(done)) return {};
      std::vector<std::int64_t> batch(std::min(kBatchRows, rows));
      for (auto& row : batch) row = static_cast<std::int64_t>(random_() % rows);
      const auto at = torch::tensor(batch);
      const auto share = up();
      const auto weight = (floor + share).clamp(-level, level) * scale;
      const auto got = ir::activate(op.activation, product(problem.rows.index_select(0, at), weight, bias));
      auto loss = (got - problem.wanted.index_select(0, at)).square().sum(1).mean() / problem.size;
      if (done >= kWarmUp) {
        const double beta = kLastBeta + (kFirstBeta - kLastBeta) * (1 - (done - kWarmUp) / (1 - kWarmUp));
        loss = loss + kLambda * (1 - (2 * share - 1).abs().pow(beta)).sum();
      }
      adam.zero_grad();
      loss.backward();
      adam.step();
    }
    const torch::NoGradGuard no_grad;
    return (floor + (up() >= 0.5).to(torch::kFloat)).clamp(-level, level) * scale;
  }

  const ir::Graph& exact_;
  ir::Graph& graph_;
  const Scheme& scheme_;
  const std::vector<ir::Values>& samples_;
  const AdaRoundOptions& options_;
  std::mt19937_64 random_;
};

}  // namespace

Result<void> round_adaptively(const ir::Graph& exact, ir::Graph& graph, const Scheme& scheme,
                              const std::vector<ir::Values>& samples, const AdaRoundOptions& options,
                              const std::function<bool(double)>& progress) {
  ir::Graph rounded = graph;
  WAYSIDE_CHECK(Rounder(exact, rounded, scheme, samples, options).run(progress));
  graph = std::move(rounded);
  return {};
}

}  // namespace wayside::optimizer
