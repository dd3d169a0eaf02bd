// SPDX-License-Identifier: Apache-2.0
// Refit: new weights for the layers of a pruned or factorised network, by least squares, without training.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

/// In order of execution, each layer of `student` gets the weights and biases with which, fed by the student's layers
/// before it, it comes nearest to what the layer of the same name gives in `teacher` before its activation (He et al.,
/// arXiv 1707.06168, section 3.1, with the student's own inputs). `masked` is the teacher with the channels that the
/// student lacks set to zero. Layers stay as they are where the teacher has none of their name, or that would need too
/// large equations. Needs no labels; draws nothing at random. Returns the number of layers with new weights. Errors:
/// those of load_sample, invalid_argument (no samples).
base::Result<std::size_t> refit_layers(const ir::Graph& teacher, const ir::Graph& masked, ir::Graph& student,
                                       const Samples& samples);

}  // namespace wayside::optimizer
