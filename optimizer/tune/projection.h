// SPDX-License-Identifier: Apache-2.0
// One number of a network's outputs whose gradients tell what the outputs depend on (internal to tune/).
#pragma once

#include <torch/torch.h>

#include <vector>

namespace wayside::optimizer {

/// Sum of the outputs with signs drawn by chance, each output in parts of its root mean square: the mean of a
/// gradient's square is that of all outputs' derivatives (Hutchinson's estimate of the diagonal of J^T J).
[[nodiscard]] torch::Tensor projected(const std::vector<torch::Tensor>& outputs, torch::Generator& random);

}  // namespace wayside::optimizer
