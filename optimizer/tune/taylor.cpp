// SPDX-License-Identifier: Apache-2.0
// Gradients of random projections of the outputs.
#include "optimizer/tune/taylor.h"

#include <torch/torch.h>

#include <format>

#include "optimizer/ir/torch_model.h"
#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
namespace {

torch::Tensor projected(const std::vector<torch::Tensor>& outputs, torch::Generator& random) {
  auto sum = torch::zeros({});
  for (const auto& output : outputs) {
    const auto signs = torch::randint(0, 2, output.sizes(), random, output.options()) * 2 - 1;
    constexpr double kLeast = 1e-6;  // an output that is always zero tells nothing
    const auto size = output.detach().square().mean().sqrt().clamp_min(kLeast);
    sum = sum + (output * signs).mean() / size * std::sqrt(static_cast<double>(output.numel()));
  }
  return sum;
}

}  // namespace

base::Result<ChannelScores> taylor_scores(const ir::Graph& graph, const Samples& samples, std::uint64_t seed) {
  if (samples.count == 0)
    return base::fail(base::Code::invalid_argument,
                      "taylor: no samples; give some pictures of the kind that will be seen");
  ir::TorchModel model(graph);
  model.read_weights(graph);
  model.eval();
  auto random = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto parameters = model.named_parameters();
  ChannelScores scores;
  for (const auto& op : graph.ops) scores.emplace_back(op.bias.size());
  for (std::size_t s = 0; s < samples.count; ++s) {
    WAYSIDE_TRY(const auto x, load_sample(graph, samples, s));
    model.zero_grad();
    projected(model.forward(x), random).backward();
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      if (!has_weights(graph.ops[i].kind)) continue;
      const auto& weight = parameters[std::format("weight_{}", i)];
      const auto& bias = parameters[std::format("bias_{}", i)];
      if (!weight.grad().defined()) continue;  // nothing that the outputs need
      auto gate = (weight.grad() * weight.detach()).flatten(1).sum(1);
      if (bias.grad().defined()) gate = gate + bias.grad() * bias.detach();
      const auto squared = gate.square().contiguous();
      for (std::size_t c = 0; c < scores[i].size(); ++c) scores[i][c] += squared.data_ptr<float>()[c];
    }
  }
  return scores;
}

}  // namespace wayside::optimizer
