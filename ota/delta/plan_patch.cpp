// SPDX-License-Identifier: Apache-2.0
// Exact matches: seeds of 32 bytes, stretched both ways.
#include <algorithm>

#include "ota/delta/delta.h"
#include "ota/delta/delta_model.h"
#include "ota/delta/seed_index.h"

namespace wayside::ota {
namespace {

/// Shorter matches cost more than they save where literals take 6 bits a byte: an operation costs about 8 bytes.
constexpr std::size_t kSeedBytes = 32;

}  // namespace

std::vector<DeltaStep> plan_patch(BytesView base, BytesView target) {
  std::vector<DeltaStep> steps;
  const SeedIndex index(base, kSeedBytes);
  std::size_t literal_start = 0;
  std::size_t at = 0;
  RollingHash hash(kSeedBytes);
  bool hash_ready = false;
  while (target.size() - at >= kSeedBytes) {
    if (!hash_ready) {
      hash = RollingHash(kSeedBytes);
      for (const std::byte byte : target.subspan(at, kSeedBytes)) hash.add(byte);
      hash_ready = true;
    }
    const auto found = index.find(hash.value(), target.subspan(at, kSeedBytes));
    if (!found) {
      if (at + kSeedBytes == target.size()) break;
      hash.roll(target[at], target[at + kSeedBytes]);
      ++at;
      continue;
    }
    std::size_t from = *found;
    std::size_t start = at;
    while (start > literal_start && from > 0 && target[start - 1] == base[from - 1]) --start, --from;
    const auto rest = target.subspan(at);
    const auto same = std::ranges::mismatch(rest, base.subspan(*found)).in1 - rest.begin();
    if (start > literal_start) steps.push_back({.kind = DeltaKind::insert, .bytes = start - literal_start});
    at += static_cast<std::size_t>(same);
    steps.push_back({.kind = DeltaKind::copy, .base_offset = from, .bytes = at - start});
    literal_start = at;
    hash_ready = false;
  }
  if (literal_start < target.size()) {
    steps.push_back({.kind = DeltaKind::insert, .bytes = target.size() - literal_start});
  }
  return steps;
}

}  // namespace wayside::ota
