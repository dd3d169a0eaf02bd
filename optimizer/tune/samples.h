// SPDX-License-Identifier: Apache-2.0
// Samples: inputs without labels, made when they are asked for; a folder of pictures need not lie in memory.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

struct Samples {
  std::size_t count = 0;
  /// Values of the graph's only input; the same for the same index, which is below `count`.
  std::function<ir::Values(std::size_t)> load;
};

[[nodiscard]] inline Samples samples_of(std::vector<ir::Values> values) {
  const std::size_t count = values.size();
  return {.count = count, .load = [values = std::move(values)](std::size_t i) { return values[i]; }};
}

}  // namespace wayside::optimizer
