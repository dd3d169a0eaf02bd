// SPDX-License-Identifier: Apache-2.0
// Cross-layer equalisation: channels of a tensor get alike ranges before one scale has to do for all of them.
#pragma once

#include <cstddef>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

/// Output channel (of a layer's output) and input channel (of its input) that a weight belongs to.
struct WeightPlace {
  std::size_t out, in;
};
/// `index` into ir::Op::weight of a layer whose input has `inputs` channels.
[[nodiscard]] WeightPlace weight_place(const ir::Op& op, std::size_t inputs, std::size_t index);
/// Channels of the layer's input.
[[nodiscard]] std::size_t input_channels(const ir::Graph& graph, const ir::Op& op);

/// How far each channel of some tensors goes: the largest of `reach` of its values, from 0 on, over `count` samples
/// that are spread over the set. One entry for each tensor of the graph, empty for those that are not asked for.
[[nodiscard]] std::vector<std::vector<float>> channel_reaches(const ir::Graph& graph,
                                                              const std::vector<ir::TensorId>& tensors,
                                                              const std::vector<ir::Values>& samples, std::size_t count,
                                                              float (*reach)(float));

/// Scales one layer's outputs down and the next one's inputs up, channel by channel; the network computes the same.
/// Weights have a scale for each output channel, so the first layer loses nothing, and a depthwise one that follows
/// neither: there all channels get one range. Other layers that follow have one scale for the weights of all their
/// inputs: the factor is the root of range over weight, which shares the coarseness between both (Nagel et al., arXiv
/// 1906.04721, section 4.1, there with the first layer's weights in place of what its outputs are seen to hold).
/// Pairs with only operators between them that scale with their input (relu, leaky relu, pools, zero padding), no other
/// reader. `samples`: some of them tell the ranges. Returns the number of pairs.
std::size_t equalize_layers(ir::Graph& graph, const std::vector<ir::Values>& samples);

}  // namespace wayside::optimizer
