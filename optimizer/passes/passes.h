// SPDX-License-Identifier: Apache-2.0
// Passes: rewrite a float graph into one that computes the same with less, or that the INT8 format can hold.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer::passes {

/// Puts (x - mean) / deviation before everything that reads the only input, a picture: one number for each channel or
/// for all; empty: 0 and 1. Errors: invalid_argument (another number of values, a deviation of 0, no picture).
[[nodiscard]] base::Result<void> normalize_input(ir::Graph& graph, std::vector<float> mean,
                                                 std::vector<float> deviation);

/// Runs a graph without inputs; the passes do not know the interpreter.
using Evaluate = std::function<std::vector<std::vector<float>>(const ir::Graph&)>;

/// Drops operators and tensors that no output needs; renumbers the rest. Returns the number of operators dropped.
std::size_t remove_dead(ir::Graph& graph);

/// Replaces operators whose inputs are all constants by their value. Returns how many.
std::size_t fold_constants(ir::Graph& graph, const Evaluate& evaluate);

/// Into convolutions and fully connected layers: a following mul, div, add or sub with one constant for each channel
/// (batch normalisation), a preceding mul with such a constant, a preceding add where there is no padding, a following
/// relu or clip 0..6. Relus also into add, sub and mul. Returns the number of operators that went.
std::size_t fuse(ir::Graph& graph);

/// Zero padding of rows and columns goes into the convolution that reads it. Returns how many.
std::size_t fold_pads(ir::Graph& graph);

/// Chains of reshape, transpose and slice become what they amount to: nothing, one reshape, one slice or one transpose;
/// transposes after a concat go before it where they can vanish there. Returns the number of operators saved.
std::size_t simplify_movement(ir::Graph& graph);

/// What fuse() left of batch norms and the like (two operators, or constants that differ by channel) on a picture
/// becomes a 1x1 depthwise convolution: a scale for each channel's weight, a 32-bit bias, one rounding. Returns how
/// many.
std::size_t affine_to_depthwise(ir::Graph& graph);

/// All of the above until nothing changes.
void simplify(ir::Graph& graph, const Evaluate& evaluate);

/// A detector's head without arithmetic: what joins boxes and scores (concat, reshape, transpose, slice) goes from the
/// end of the graph into `tail`, to be run in float after the network, so that no two of the joined tensors share a
/// scale. tail's inputs are body's outputs, in order. Without a concat near the end, body is the graph and tail only
/// passes on.
struct SplitHead {
  ir::Graph body, tail;
};
[[nodiscard]] SplitHead split_head(const ir::Graph& graph);

/// INT8 has neither division nor roots: a / b becomes a * (r * r) with r = rsqrt(b) where b cannot be negative (a /
/// sqrt(b): a * rsqrt(b)), a constant b its reciprocal, sqrt(x) x * rsqrt(x), a sum a mean times a number. What remains
/// is refused by the writer. Returns how many were replaced.
std::size_t replace_divisions(ir::Graph& graph);

/// Puts the graph into forms that .tflite has: replace_divisions(), padding is SAME or VALID (else a pad of its own
/// goes before), unused padding is dropped, softmax runs along the last axis. Errors: unsupported (names tensor and
/// operator).
base::Result<void> to_tflite_forms(ir::Graph& graph);

}  // namespace wayside::optimizer::passes
