// SPDX-License-Identifier: Apache-2.0
// Histograms and the choice of a clipping.
#include "optimizer/quantize/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace wayside::optimizer {
namespace {

constexpr std::array<std::string_view, 6> kNames{"min-max", "average", "percentile", "kl", "mse", "file"};

/// Shares of each end of the range that kl and mse try.
constexpr int kShares = 50;
/// Each step moves the end that gains more; the second end and a correction of both.
constexpr int kSteps = 4;

}  // namespace

std::string_view to_string(RangeMethod method) { return kNames[static_cast<std::size_t>(method)]; }

std::optional<RangeMethod> range_method(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<RangeMethod>(found - kNames.begin());
}

void TensorStatistics::widen(std::span<const float> values) {
  if (values.empty()) return;
  const auto [low, high] = std::ranges::minmax(values);
  all_ = samples_ == 0 ? Range{low, high} : Range{std::min(all_.low, low), std::max(all_.high, high)};
  low_sum_ += static_cast<double>(low);
  high_sum_ += static_cast<double>(high);
  ++samples_;
}

void TensorStatistics::count(std::span<const float> values) {
  bins_.resize(kBins);
  const float width = all_.high - all_.low;
  if (width <= 0) return;
  const float per_unit = static_cast<float>(kBins) / width;
  for (const float value : values) {
    const float at = std::clamp((value - all_.low) * per_unit, 0.0F, static_cast<float>(kBins - 1));
    ++bins_[static_cast<std::size_t>(at)];
  }
}

float TensorStatistics::centre(std::size_t bin) const {
  return all_.low + (all_.high - all_.low) * (static_cast<float>(bin) + 0.5F) / static_cast<float>(kBins);
}

Range TensorStatistics::range(RangeMethod method) const {
  if (samples_ == 0) return {};
  const bool counted = !bins_.empty() && all_.high > all_.low;
  if (method == RangeMethod::average || method == RangeMethod::file) {
    const auto n = static_cast<double>(samples_);
    return {static_cast<float>(low_sum_ / n), static_cast<float>(high_sum_ / n)};
  }
  if (method == RangeMethod::min_max || !counted) return all_;
  return method == RangeMethod::percentile ? percentile() : clipped(method);
}

Range TensorStatistics::percentile() const {
  const auto total = std::accumulate(bins_.begin(), bins_.end(), std::uint64_t{0});
  const auto cut = static_cast<std::uint64_t>(kPercentileCut * static_cast<double>(total));
  std::size_t first = 0, last = kBins - 1;
  for (std::uint64_t below = bins_[0]; first < last && below <= cut; below += bins_[++first]) {
  }
  for (std::uint64_t above = bins_[last]; last > first && above <= cut; above += bins_[--last]) {
  }
  const float half = (all_.high - all_.low) / static_cast<float>(2 * kBins);
  return {centre(first) - half, centre(last) + half};
}

/// Each end by itself: an outlier at one must not clip what lies at the other.
Range TensorStatistics::clipped(RangeMethod method) const {
  const auto cost = [&](Range range) { return method == RangeMethod::kl ? divergence(range) : squared_error(range); };
  Range best = all_;
  double least = cost(best);
  for (int step = 0; step < kSteps; ++step) {
    const Range start = best;
    for (float Range::* end : {&Range::low, &Range::high}) {
      const bool beyond_zero = end == &Range::high ? all_.high > 0 : all_.low < 0;  // zero is always inside
      for (int i = kShares; beyond_zero && i >= 1; --i) {
        Range range = start;
        range.*end = all_.*end * static_cast<float>(i) / kShares;
        if (const double found = cost(range); found < least) {
          least = found;
          best = range;
        }
      }
    }
    if (best.low == start.low && best.high == start.high) break;
  }
  return best;
}

double TensorStatistics::squared_error(Range range) const {
  const float low = std::min(range.low, 0.0F), scale = std::max((std::max(range.high, 0.0F) - low) / 255, 1e-12F);
  double sum = 0;
  for (std::size_t i = 0; i < kBins; ++i) {
    const float x = centre(i), level = std::clamp(std::nearbyint((x - low) / scale), 0.0F, 255.0F);
    const auto error = static_cast<double>(x - (low + level * scale));
    sum += static_cast<double>(bins_[i]) * error * error;
  }
  return sum;
}

/// KL(P||Q): P the histogram with what is clipped at the edges, Q the same in 256 levels, spread evenly over the bins
/// of each level that hold anything.
double TensorStatistics::divergence(Range range) const {
  const float low = std::min(range.low, 0.0F), scale = std::max((std::max(range.high, 0.0F) - low) / 255, 1e-12F);
  std::vector<std::size_t> level(kBins);
  std::array<double, 256> inside{}, filled{};
  std::vector<double> p(kBins);
  std::size_t first = kBins, last = 0;
  for (std::size_t i = 0; i < kBins; ++i) {
    const float x = centre(i);
    level[i] = static_cast<std::size_t>(std::clamp(std::nearbyint((x - low) / scale), 0.0F, 255.0F));
    if (x < range.low || x > range.high) continue;
    first = std::min(first, i);
    last = i;
  }
  if (first > last) return 1e30;
  for (std::size_t i = 0; i < kBins; ++i) {
    const auto count = static_cast<double>(bins_[i]);
    p[std::clamp(i, first, last)] += count;
    if (i < first || i > last || bins_[i] == 0) continue;
    inside[level[i]] += count;
    ++filled[level[i]];
  }
  const double total = std::accumulate(p.begin(), p.end(), 0.0),
               kept = std::accumulate(inside.begin(), inside.end(), 0.0);
  if (kept == 0) return 1e30;
  double sum = 0;
  for (std::size_t i = first; i <= last; ++i) {
    if (p[i] == 0) continue;
    const double q = filled[level[i]] == 0 ? 0 : inside[level[i]] / filled[level[i]] / kept;
    sum += p[i] / total * std::log(p[i] / total / std::max(q, 1e-12));
  }
  return sum;
}

}  // namespace wayside::optimizer
