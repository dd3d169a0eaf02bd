// SPDX-License-Identifier: Apache-2.0
// Samples as libtorch's tensors (internal to tune/).
#pragma once

#include <torch/torch.h>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

/// Sample `index` as TorchModel::forward takes it. Errors: invalid_argument (a size that is not the input's).
[[nodiscard]] base::Result<torch::Tensor> load_sample(const ir::Graph& graph, const Samples& samples,
                                                      std::size_t index);

}  // namespace wayside::optimizer
