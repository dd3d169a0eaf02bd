// SPDX-License-Identifier: Apache-2.0
// Calibration: from what tensors hold over a set of samples to the range that INT8 shall cover.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "optimizer/quantize/scales.h"

namespace wayside::optimizer {

/// min_max: all that was seen. average: mean over the samples of each one's extremes. percentile: all but
/// kPercentileCut of the values at each end. kl: the clipping whose 256 levels lose least information
/// (Kullback-Leibler, as in Migacz, 8-bit inference with TensorRT, GTC 2017, here with both ends free): forgets rare
/// outliers. mse: the clipping with the least squared error of rounding and clipping together: keeps an outlier as long
/// as cutting it costs more than the coarser steps that it brings. file: what the imported file states, else average.
enum class RangeMethod : std::uint8_t { min_max, average, percentile, kl, mse, file };
inline constexpr double kPercentileCut = 1e-4;
[[nodiscard]] std::string_view to_string(RangeMethod method);
[[nodiscard]] std::optional<RangeMethod> range_method(std::string_view name);

/// Two passes over the same samples: first widen() with every sample of a tensor, then count() with every one again
/// (not needed for min_max and average).
class TensorStatistics {
 public:
  void widen(std::span<const float> values);
  void count(std::span<const float> values);
  /// Without samples: 0..0.
  [[nodiscard]] Range range(RangeMethod method) const;

 private:
  static constexpr std::size_t kBins = 2048;
  [[nodiscard]] float centre(std::size_t bin) const;
  [[nodiscard]] Range percentile() const;
  [[nodiscard]] Range clipped(RangeMethod method) const;
  [[nodiscard]] double squared_error(Range range) const;
  [[nodiscard]] double divergence(Range range) const;

  std::size_t samples_ = 0;
  Range all_;
  double low_sum_ = 0, high_sum_ = 0;
  std::vector<std::uint64_t> bins_;
};

}  // namespace wayside::optimizer
