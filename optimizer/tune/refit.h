// SPDX-License-Identifier: Apache-2.0
// Refit: new weights for the layers of a pruned, thinned or factorised network, by least squares, without training.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/tune/channel_groups.h"
#include "optimizer/tune/samples.h"

namespace wayside::optimizer {

struct RefitOptions {
  bool keep_zeros = false;  ///< weights that are zero stay zero: each output has equations of its own
};

/// In order of execution, each layer of `student` gets the weights and biases with which, fed by the student's layers
/// before it, it comes nearest to what the layer of the same name gives in `teacher` before its activation (He et al.,
/// arXiv 1707.06168, section 3.1, with the student's own inputs). A layer that is added to what is computed before it
/// also makes up for the error of that (section 3.3). `kept`: the teacher's channels that the student has,
/// where some are gone. Layers stay as they are where the teacher has none of their
/// name, or that would need too large equations. Needs no labels; draws nothing at random. Returns the number of layers
/// with new weights. Errors: those of load_sample, invalid_argument (no samples).
base::Result<std::size_t> refit_layers(const ir::Graph& teacher, const KeptChannels& kept, ir::Graph& student,
                                       const Samples& samples, const RefitOptions& options);

}  // namespace wayside::optimizer
