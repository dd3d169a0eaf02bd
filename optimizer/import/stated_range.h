// SPDX-License-Identifier: Apache-2.0
// What a range that a quantised file states for a tensor means in float.
#pragma once

#include <string>

#include "base/result.h"
#include "optimizer/ir/assembler.h"

namespace wayside::optimizer {

struct StatedRange {
  float low = 0, high = 0;
};
/// The values that 256 levels from `least` on can hold.
[[nodiscard]] StatedRange range_of(float scale, int zero_point, int least);

/// Gives the tensor the range (ir::Tensor::low, high). Converters leave out a relu or relu6 whose cut the range makes;
/// where the range begins at 0 and the tensor's producer could give less, it is put in. Returns the tensor that readers
/// shall take: the same or the relu's.
base::Result<ir::TensorId> state_range(ir::Assembler& assembler, ir::TensorId id, StatedRange range);

}  // namespace wayside::optimizer
