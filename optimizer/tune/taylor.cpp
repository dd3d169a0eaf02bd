// SPDX-License-Identifier: Apache-2.0
// Gradients of random projections of the outputs.
#include "optimizer/tune/taylor.h"

#include <torch/torch.h>

#include <format>

#include "optimizer/ir/torch_model.h"
#include "optimizer/tune/projection.h"
#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
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
