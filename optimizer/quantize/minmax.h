// SPDX-License-Identifier: Apache-2.0
// Post-training quantisation by observed ranges (Jacob et al., arXiv 1712.05877): calibrate, choose scales, round.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "optimizer/quantize/quantized_graph.h"

namespace wayside::optimizer {

/// Fewer calibration pictures than this are refused: ranges of a handful of pictures do not hold in the field.
inline constexpr std::size_t kMinCalibrationPictures = 100;

/// Range of one tensor over the calibration set.
struct Range {
  float low = 0, high = 0;
};

/// Collects the range of each tensor batch by batch. Ranges of batches are averaged with equal weight, which forgives
/// single outliers more than the overall minimum and maximum do; `clip` cuts that share of the values at each end
/// first.
class RangeCollector {
 public:
  RangeCollector(std::size_t tensor_count, double clip) : sums_(tensor_count), counts_(tensor_count), clip_(clip) {}
  void add(std::size_t tensor, std::span<const float> values);
  [[nodiscard]] std::vector<Range> ranges() const;

 private:
  std::vector<Range> sums_;
  std::vector<std::size_t> counts_;
  double clip_;
  std::vector<float> sorted_;  ///< scratch
};

/// Activation scales from ranges. Zero is always representable. Where an operator cannot change scale
/// (resize_nearest) input and output share one; logistic outputs are 0..1 in steps of 1/256 as TFLite prescribes; relu
/// and relu6 bound the range. `input` is the fixed quantisation of the graph's input.
std::vector<TensorQuantization> choose_scales(const ir::Graph& graph, std::span<const Range> ranges,
                                              const TensorQuantization& input);

/// Rounds the weights of a graph without batch norm; `formats`: one per op, empty: int8 everywhere. Errors:
/// invalid_argument (norm not folded, sizes do not match, a float format).
base::Result<QuantizedGraph> quantize(const ir::Graph& graph, const std::vector<TensorQuantization>& scales,
                                      std::span<const WeightFormat> formats = {});

}  // namespace wayside::optimizer
