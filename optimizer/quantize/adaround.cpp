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

/// Most that the kept tensors of one network take.
constexpr std::size_t kKeptBytes = std::size_t{1} << 30;

/// A network on its samples, run as far as a layer's input; goes on from there for the next layer where what the rest
/// of the network reads fits in kKeptBytes (early tensors are large, but little work), else from where it last did.
class Prefix {
 public:
  Prefix(const ir::Graph& graph, const Scheme& scheme, std::size_t samples) : model_(graph), kept_(samples) {
    model_.eval();
    model_.fake_quantize(scheme);
    last_reader_.assign(graph.tensors.size(), 0);
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      for (const ir::TensorId id : graph.ops[i].inputs) last_reader_[id] = i;
    }
  }
  /// Before the samples of each layer; layers in order. `graph`: with weights as they are now.
  void go_to(std::size_t layer, const ir::Graph& graph) {
    model_.read_weights(graph);
    first_ = next_;
    layer_ = layer;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < layer; ++i) {
      const ir::TensorId id = graph.ops[i].output;
      if (last_reader_[id] >= layer) bytes += ir::element_count(graph.tensors[id].shape) * sizeof(float);
    }
    keeps_ = bytes * kept_.size() <= kKeptBytes;
    if (keeps_) next_ = layer;
  }
  /// The layer's input of one sample. `x`: NCHW, what the sample is.
  Tensor input(std::size_t sample, const Tensor& x) {
    auto values = first_ == 0 ? model_.begin({x}) : kept_[sample];
    model_.run(first_, layer_, values);
    const auto input = values[model_.graph().ops[layer_].inputs[0]];
    if (!keeps_) return input;
    for (ir::TensorId id = 0; id < values.size(); ++id) {
      if (last_reader_[id] < layer_) values[id] = Tensor();
    }
    kept_[sample] = std::move(values);
    return input;
  }

 private:
  ir::TorchModel model_;
  std::vector<std::size_t> last_reader_;   ///< of each tensor, among the operators
  std::vector<std::vector<Tensor>> kept_;  ///< for each sample the tensors that operators from next_ on read
  std::size_t layer_ = 0, first_ = 0, next_ = 0;
  bool keeps_ = false;
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
      : exact_(exact),
        graph_(graph),
        scheme_(scheme),
        samples_(samples),
        options_(options),
        random_(options.seed),
        layers_(layers_to_round()),
        count_(samples_for(layers_)),
        float_prefix_(exact, {}, count_),
        rounded_prefix_(graph, scheme, count_) {}

  Result<void> run(const std::function<bool(double)>& progress) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto report = [&](double done) {
        return !progress || progress((static_cast<double>(i) + done) / static_cast<double>(layers_.size()));
      };
      if (!round_layer(layers_[i], report)) return base::fail(Code::bad_state, "stopped");
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

  /// The samples that all layers look at: more where a layer has few places.
  [[nodiscard]] std::size_t samples_for(const std::vector<std::size_t>& layers) const {
    constexpr std::size_t kLeastSamples = 64;
    std::size_t count = kLeastSamples;
    for (const std::size_t i : layers) count = std::max(count, kRows / places_of(graph_, graph_.ops[i]));
    return std::min(samples_.size(), count);
  }

  /// The layer's inputs in both networks at seeded places.
  Problem problem_of(std::size_t index, const LayerWeights& exact) {
    const Op& op = graph_.ops[index];
    const std::size_t places = places_of(graph_, op);
    const std::size_t each = std::clamp<std::size_t>(kRows / count_, 1, places);
    const auto outputs = static_cast<std::int64_t>(op.bias.size());
    float_prefix_.go_to(index, exact_);
    rounded_prefix_.go_to(index, graph_);
    const ir::Shape& shape = graph_.tensors[graph_.inputs[0]].shape;
    const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    std::vector<Tensor> float_rows, rows;
    for (std::size_t i = 0; i < count_; ++i) {
      auto values = samples_[i * samples_.size() / count_];
      const auto x = ir::to_nchw(torch::from_blob(values.data(), sizes).clone());
      std::vector<std::int64_t> chosen(each);
      for (auto& place : chosen) place = static_cast<std::int64_t>(random_() % places);
      const auto at = torch::tensor(chosen);
      float_rows.push_back(rows_of(op, float_prefix_.input(i, x), at, outputs));
      rows.push_back(rows_of(op, rounded_prefix_.input(i, x), at, outputs));
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
  std::vector<std::size_t> layers_;
  std::size_t count_;
  Prefix float_prefix_, rounded_prefix_;
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
