// SPDX-License-Identifier: Apache-2.0
// Operators without weights in terms of libtorch (internal to TorchModel).
#pragma once

#include <torch/torch.h>

#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer::ir {

/// The graph's [N,H,W,C] as torch's [N,C,H,W] and back, without copying; other ranks stay.
[[nodiscard]] torch::Tensor to_nchw(const torch::Tensor& x);
[[nodiscard]] torch::Tensor to_nhwc(const torch::Tensor& x);

[[nodiscard]] torch::Tensor activate(Activation activation, torch::Tensor x);

/// Any operator without weights. Tensors of rank 4 are NCHW views. `shape` is the output's in the graph (NHWC).
[[nodiscard]] torch::Tensor run_plain(const Op& op, const std::vector<torch::Tensor>& in, const Shape& shape);

/// A constant of the graph as forward() wants it.
[[nodiscard]] torch::Tensor constant_tensor(const Tensor& tensor);

}  // namespace wayside::optimizer::ir
