// SPDX-License-Identifier: Apache-2.0
// Histogram: latencies of one stage in logarithmic buckets; written by one thread without locks or allocation.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace wayside::agent {

/// Percentiles of one interval. `count` 0 means that the others are 0.
struct Percentiles {
  std::uint64_t count = 0;
  double p50_ms = 0;
  double p95_ms = 0;
  double p99_ms = 0;
  double max_ms = 0;
};

/// Buckets: kPerOctave equal parts of each power of two nanoseconds, as in HdrHistogram; a reported percentile is the
/// upper edge of its bucket and so at most 1/32 (3.2 %) above the true value. 2^10 ns (1 us) is the lowest edge that
/// matters, 2^36 ns (69 s) the highest; values outside count in the first or last bucket.
/// Threads: record() from one thread, take() from another, no locks; a value recorded during take() lands in this or
/// the next interval.
class Histogram {
 public:
  void record(std::chrono::nanoseconds value);
  /// The interval since the last take(); starts a new one.
  [[nodiscard]] Percentiles take();

 private:
  static constexpr unsigned kLowestOctave = 10;
  static constexpr unsigned kHighestOctave = 36;
  static constexpr unsigned kPerOctaveBits = 5;
  static constexpr std::size_t kBuckets = (kHighestOctave - kLowestOctave) << kPerOctaveBits;
  static std::size_t bucket_of(std::uint64_t value_ns);
  static double upper_edge_ms(std::size_t bucket);

  std::array<std::atomic<std::uint32_t>, kBuckets> counts_{};
  std::atomic<std::uint64_t> max_ns_{0};
};

}  // namespace wayside::agent
