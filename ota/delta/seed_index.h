// SPDX-License-Identifier: Apache-2.0
// SeedIndex: finds where in an old file a short run of bytes of the new one lies.
#pragma once

#include <optional>
#include <vector>

#include "ota/delta/wire.h"

namespace wayside::ota {

/// Hash of the last `length` bytes, moved on byte by byte (polynomial modulo 2^64; Karp and Rabin 1987).
class RollingHash {
 public:
  explicit RollingHash(std::size_t length) {
    for (std::size_t i = 1; i < length; ++i) oldest_weight_ *= kMultiplier;
  }
  void add(std::byte in) { value_ = value_ * kMultiplier + std::to_integer<std::uint64_t>(in) + 1; }
  void roll(std::byte out, std::byte in) {
    value_ -= (std::to_integer<std::uint64_t>(out) + 1) * oldest_weight_;
    add(in);
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  static constexpr std::uint64_t kMultiplier = 0x5851f42d4c957f2d;  // of Knuth's MMIX generator; odd
  std::uint64_t oldest_weight_ = 1;
  std::uint64_t value_ = 0;
};

/// Knows each run of `length` bytes that starts at a multiple of `length` in `base`, the first one of equal runs.
/// Built and asked in linear time: at most kMaxProbes table cells a question, one comparison of `length` bytes each.
class SeedIndex {
 public:
  SeedIndex(BytesView base, std::size_t length);
  /// Offset in the base of bytes equal to `seed` (of `length` bytes, with this rolling hash).
  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t hash, BytesView seed) const;

 private:
  static constexpr std::size_t kMaxProbes = 8;
  [[nodiscard]] std::size_t cell(std::uint64_t hash) const;
  BytesView base_;
  std::size_t length_;
  unsigned shift_;
  std::vector<std::uint32_t> table_;  ///< run number + 1; 0: empty
};

}  // namespace wayside::ota
