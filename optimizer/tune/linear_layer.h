// SPDX-License-Identifier: Apache-2.0
// A layer as linear equations: what each place of its output reads, and its weights (internal to tune/).
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// Unknowns of one output: its matrix has so many rows and columns.
inline constexpr std::int64_t kMostUnknowns = 2400;

struct LinearLayer {
  torch::Tensor weight, bias;  ///< [outputs, inputs of one group, kernel_h, kernel_w], [outputs]
};
[[nodiscard]] LinearLayer linear_layer_of(const ir::Op& op);
void put(const LinearLayer& layer, ir::Op& op);

/// Input channels for depthwise layers, which have a matrix each; else 1.
[[nodiscard]] std::int64_t groups_of(const ir::Op& op, const torch::Tensor& x);

/// Before the activation, [1,outputs,rows,columns]. x: the layer's input, as ir::run_plain takes it.
[[nodiscard]] torch::Tensor linear(const ir::Op& op, const LinearLayer& layer, const torch::Tensor& x);

/// Places that make the equations of a layer, of all samples.
[[nodiscard]] std::int64_t wanted_places(std::int64_t unknowns);

/// What places of the output read, [groups, inputs * taps + 1, places], the last row ones for the bias; every
/// `stride`-th place.
[[nodiscard]] torch::Tensor places_read(const ir::Op& op, const torch::Tensor& x, std::int64_t stride);

/// Places of one sample's output.
[[nodiscard]] std::int64_t place_count(const ir::Graph& graph, const ir::Op& op);

}  // namespace wayside::optimizer
