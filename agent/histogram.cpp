// SPDX-License-Identifier: Apache-2.0
// Bucket arithmetic and percentiles of latencies.
#include "agent/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace wayside::agent {

std::size_t Histogram::bucket_of(std::uint64_t value_ns) {
  const unsigned octave = static_cast<unsigned>(std::bit_width(value_ns));  // value in [2^(octave-1), 2^octave)
  if (octave <= kLowestOctave) return 0;
  if (octave > kHighestOctave) return kBuckets - 1;
  const unsigned top = octave - 1;
  const std::uint64_t within = (value_ns - (std::uint64_t{1} << top)) >> (top - kPerOctaveBits);
  return (std::size_t{top - kLowestOctave} << kPerOctaveBits) + static_cast<std::size_t>(within);
}

double Histogram::upper_edge_ms(std::size_t bucket) {
  constexpr double kNsPerMs = 1e6;
  const auto top = static_cast<int>(bucket >> kPerOctaveBits) + static_cast<int>(kLowestOctave);
  const double part = static_cast<double>((bucket & ((1U << kPerOctaveBits) - 1)) + 1) / (1U << kPerOctaveBits);
  return std::ldexp(1.0 + part, top) / kNsPerMs;
}

void Histogram::record(std::chrono::nanoseconds value) {
  const auto value_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
  counts_[bucket_of(value_ns)].fetch_add(1, std::memory_order_relaxed);
  if (value_ns > max_ns_.load(std::memory_order_relaxed)) max_ns_.store(value_ns, std::memory_order_relaxed);
}

Percentiles Histogram::take() {
  std::array<std::uint32_t, kBuckets> counts;
  Percentiles result;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    counts[bucket] = counts_[bucket].exchange(0, std::memory_order_relaxed);
    result.count += counts[bucket];
  }
  result.max_ms = static_cast<double>(max_ns_.exchange(0, std::memory_order_relaxed)) / 1e6;
  if (result.count == 0) return {};
  const auto at = [&](double quantile) {
    const auto rank =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(result.count))));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      seen += counts[bucket];
      if (seen >= rank) return std::min(upper_edge_ms(bucket), std::max(result.max_ms, 0.001));
    }
    return result.max_ms;
  };
  result.p50_ms = at(0.50);
  result.p95_ms = at(0.95);
  result.p99_ms = at(0.99);
  return result;
}

}  // namespace wayside::agent
