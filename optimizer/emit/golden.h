// SPDX-License-Identifier: Apache-2.0
// A golden set for a variant that takes and gives floats in ONNX's order: what the float network answers, and how far
// quantisation moves that.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer::emit {

struct FloatGolden {
  std::vector<std::uint8_t> inputs, outputs;  ///< float32; of each case all tensors, one after the other
  std::size_t count = 0;
  /// Tolerances of ota::Golden, in thousandths (max_abs) and millionths (mean_abs_milli): twice what simulated INT8
  /// differs from float on these cases. Empty: more than a manifest can say (0.255).
  std::optional<std::uint32_t> max_abs, mean_abs_milli;
};

/// Of the first `count` samples.
[[nodiscard]] FloatGolden float_golden(const Quantized& quantized, const std::vector<ir::Values>& samples,
                                       std::size_t count = 8);

}  // namespace wayside::optimizer::emit
