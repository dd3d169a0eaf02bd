// SPDX-License-Identifier: Apache-2.0
// Checked copy of a sample.
#include "optimizer/tune/torch_samples.h"

#include <format>

#include "optimizer/ir/torch_ops.h"

namespace wayside::optimizer {

base::Result<torch::Tensor> load_sample(const ir::Graph& graph, const Samples& samples, std::size_t index) {
  ir::Values values = samples.load(index);
  const auto& shape = graph.tensors[graph.inputs[0]].shape;
  if (graph.inputs.size() != 1 || values.size() != ir::element_count(shape)) {
    return base::fail(base::Code::invalid_argument,
                      std::format("sample {}: {} values for an input {}; give one input of the network's size", index,
                                  values.size(), ir::to_string(shape)));
  }
  const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  return ir::to_nchw(torch::from_blob(values.data(), sizes).clone());
}

}  // namespace wayside::optimizer
