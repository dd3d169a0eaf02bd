// SPDX-License-Identifier: Apache-2.0
// An open-addressed table of runs.
#include "ota/delta/seed_index.h"

#include <algorithm>
#include <bit>

namespace wayside::ota {

SeedIndex::SeedIndex(BytesView base, std::size_t length) : base_(base), length_(length) {
  const std::size_t runs = base.size() / length;
  table_.resize(std::bit_ceil(2 * runs + 2));
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(table_.size()));
  for (std::size_t run = 0; run < runs; ++run) {
    RollingHash hash(length);
    const BytesView bytes = base.subspan(run * length, length);
    for (const std::byte byte : bytes) hash.add(byte);
    if (find(hash.value(), bytes)) continue;
    std::size_t at = cell(hash.value());
    for (std::size_t probe = 0; probe < kMaxProbes; ++probe, at = (at + 1) % table_.size()) {
      if (table_[at] != 0) continue;
      table_[at] = static_cast<std::uint32_t>(run + 1);
      break;
    }
  }
}

/// Fibonacci hashing: the upper bits of the product.
std::size_t SeedIndex::cell(std::uint64_t hash) const {
  return static_cast<std::size_t>((hash * 0x9e3779b97f4a7c15U) >> shift_);
}

std::optional<std::size_t> SeedIndex::find(std::uint64_t hash, BytesView seed) const {
  std::size_t at = cell(hash);
  for (std::size_t probe = 0; probe < kMaxProbes && table_[at] != 0; ++probe, at = (at + 1) % table_.size()) {
    const std::size_t offset = (table_[at] - 1) * length_;
    if (std::ranges::equal(base_.subspan(offset, length_), seed)) return offset;
  }
  return std::nullopt;
}

}  // namespace wayside::ota
