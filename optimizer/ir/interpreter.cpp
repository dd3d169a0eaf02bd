// SPDX-License-Identifier: Apache-2.0
// Plain arrays in and out of TorchModel.
#include "optimizer/ir/interpreter.h"

#include <cstdint>
#include <utility>

#include "optimizer/ir/torch_model.h"
#include "optimizer/ir/torch_ops.h"

namespace wayside::optimizer::ir {
namespace {

torch::Tensor in_graph_order(const torch::Tensor& x) { return to_nhwc(x).contiguous(); }

/// Without copying.
torch::Tensor in_torch_order(std::span<const float> values, const Shape& shape) {
  const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  return to_nchw(torch::from_blob(const_cast<float*>(values.data()), sizes));
}

std::span<const float> view(const torch::Tensor& dense) {
  return {dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel())};
}

}  // namespace

struct Interpreter::Torch {
  explicit Torch(const Graph& graph) : model(graph) {
    model.read_weights(graph);
    model.eval();
  }
  TorchModel model;
};

Interpreter::Interpreter(const Graph& graph) : torch_(std::make_unique<Torch>(graph)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

std::vector<Values> Interpreter::run(const std::vector<Values>& inputs) {
  const torch::NoGradGuard no_grad;
  const Graph& graph = torch_->model.graph();
  std::vector<torch::Tensor> in;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    in.push_back(in_torch_order(inputs[i], graph.tensors[graph.inputs[i]].shape));
  std::vector<Values> out;
  for (const auto& value : torch_->model.forward(in)) {
    const auto dense = in_graph_order(value);
    const auto values = view(dense);
    out.emplace_back(values.begin(), values.end());
  }
  return out;
}

void Interpreter::observe(Observer observer) {
  if (!observer) return torch_->model.observe({});
  torch_->model.observe([observer = std::move(observer)](TensorId id, const torch::Tensor& value) {
    const auto dense = in_graph_order(value);
    observer(id, view(dense));
  });
}

void Interpreter::replace(Replacement replacement) {
  if (!replacement) return torch_->model.round_activations({});
  torch_->model.round_activations(
      [&graph = torch_->model.graph(), replacement = std::move(replacement)](TensorId id, const torch::Tensor&) {
        return in_torch_order(replacement(id), graph.tensors[id].shape);
      });
}

void Interpreter::simulate(Scheme scheme) { torch_->model.fake_quantize(std::move(scheme)); }

void set_interpreter_threads(int count) { torch::set_num_threads(count); }

}  // namespace wayside::optimizer::ir
