// SPDX-License-Identifier: Apache-2.0
// Student: a network in training whose weights and activations are rounded as INT8 would (internal to tune/).
#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

#include "optimizer/ir/torch_model.h"
#include "optimizer/tune/finetune.h"

namespace wayside::optimizer {

/// INT8 weights are rounded in each step and their gradients pass straight through. Behind that, weights of four bits
/// swing between two levels (Nagel et al., arXiv 2203.11086); these are free numbers instead, and settle on their
/// levels one share after the other, while those that are left make up for it (Zhou et al., arXiv 1702.03044).
/// Parameters: the network's, and the logarithm of the scale of each tensor (so that scales stay positive).
class Student : public torch::nn::Module {
 public:
  /// `graph` outlives this object.
  Student(const ir::Graph& graph, const FinetuneOptions& options);

  /// Leaves every computed tensor, before rounding, in values() until the next call.
  void forward(const torch::Tensor& x) { model_->forward(x); }
  [[nodiscard]] const std::vector<torch::Tensor>& values() const { return values_; }
  /// One of them as its readers get it.
  [[nodiscard]] torch::Tensor as_read(ir::TensorId id) const { return rounded(id, values_[id]); }

  /// For each of parameters(), in their order: how far apart the levels are that it settles on; empty: it does not.
  [[nodiscard]] std::vector<std::optional<double>> level_sizes() const;
  /// Before each step of the optimiser, with the share of all steps that is done: weights settle.
  void settle(double done);
  /// After it: what is settled, or zero where zeros are to stay, stays.
  void hold();
  /// All weights go to where they would be written.
  void round_weights();
  /// Copies of the parameters, and back.
  [[nodiscard]] std::vector<torch::Tensor> state() const;
  void restore(const std::vector<torch::Tensor>& state);
  void write_weights(ir::Graph& graph) const { model_->write_weights(graph); }
  /// The options' scheme with the learned scales.
  [[nodiscard]] Scheme scheme() const;

 private:
  /// A layer with weights of four bits.
  struct Settling {
    torch::Tensor weight, scale;  ///< the parameter; of each of its output channels
    torch::Tensor is_settled;     ///< of each weight
    [[nodiscard]] torch::Tensor nearest() const;
  };
  void choose_learned(bool learn);
  void choose_settling();
  [[nodiscard]] torch::Tensor rounded(ir::TensorId id, const torch::Tensor& x) const;

  const ir::Graph& graph_;
  Scheme scheme_;
  std::vector<ir::TensorId> owners_;  ///< the tensor whose scale each one has
  std::vector<bool> learned_;         ///< of owners
  std::shared_ptr<ir::TorchModel> model_;
  torch::Tensor log_scales_;  ///< [tensors]; undefined where no scale is learned
  std::vector<Settling> settling_;
  std::vector<torch::Tensor> masks_, values_;
};

}  // namespace wayside::optimizer
