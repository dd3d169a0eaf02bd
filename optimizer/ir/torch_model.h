// SPDX-License-Identifier: Apache-2.0
// TorchModel: runs a graph on libtorch, with gradients; in float, or with the rounding of INT8 put in (fake
// quantisation).
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer::ir {

/// Owns the parameters of one graph's layers. Tensors of rank 4 inside are NCHW views with channels-last strides.
class TorchModel : public torch::nn::Module {
 public:
  /// Draws fresh weights (He normal, fan-out) from torch's global generator.
  explicit TorchModel(const Graph& graph);

  /// x: float [N,C,H,W]. Returns the graph's outputs, in order, NCHW. Uses batch statistics in training mode.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) { return forward(std::vector<torch::Tensor>{x}); }
  /// The same for graphs of several inputs. Tensors of other ranks than 4 are as in the graph.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& inputs);

  /// forward() in parts: one value for each tensor, of constants and inputs, then what the operators first..last-1 make
  /// of them. Values that no later operator reads may be dropped between two parts.
  std::vector<torch::Tensor> begin(const std::vector<torch::Tensor>& inputs);
  void run(std::size_t first, std::size_t last, std::vector<torch::Tensor>& values);

  /// Copies parameters and running statistics from and to the graph's vectors; the graph must have this one's ops.
  void read_weights(const Graph& graph);
  void write_weights(Graph& graph) const;

  /// A second model over the same parameters, with gradients and running statistics of its own: for another thread.
  [[nodiscard]] std::shared_ptr<TorchModel> twin() const;

  /// Rounds tensors and weights as the scheme says; gradients pass straight through. Needs a graph without batch norm.
  /// An empty scheme turns it off.
  void fake_quantize(Scheme scheme) { scheme_ = std::move(scheme); }

  /// Called with every tensor that forward() computes (and its inputs), for calibration.
  using Observer = std::function<void(TensorId, const torch::Tensor&)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

  /// For training: gives what the readers of a tensor get, instead of the scheme's rounding of activations; weights
  /// are rounded as the scheme says. Empty: off.
  using Rounding = std::function<torch::Tensor(TensorId, const torch::Tensor&)>;
  void round_activations(Rounding rounding) { rounding_ = std::move(rounding); }

  [[nodiscard]] const Graph& graph() const { return graph_; }

 private:
  struct Layer {
    torch::Tensor weight, bias;
    torch::Tensor gamma, beta, mean, variance;  ///< undefined without batch norm
  };
  torch::Tensor run_weighted(std::size_t index, torch::Tensor x);
  torch::Tensor rounded(TensorId id, torch::Tensor x) const;

  Graph graph_;  ///< structure only; weights live in layers_
  Rounding rounding_;
  std::vector<Layer> layers_;
  std::vector<torch::Tensor> constants_;  ///< one per tensor, undefined where it is computed
  Scheme scheme_;
  Observer observer_;
};

}  // namespace wayside::optimizer::ir
