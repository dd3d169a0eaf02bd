// SPDX-License-Identifier: Apache-2.0
// The gear hash and its two masks.
#include "ota/delta/chunker.h"

#include <algorithm>
#include <array>

namespace wayside::ota {
namespace {

/// 256 random words from splitmix64 (Steele, Lea, Flood 2014), seed 0: the same on every machine.
constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> gear{};
  std::uint64_t state = 0;
  for (auto& word : gear) {
    state += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = (state ^ (state >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    word = mixed ^ (mixed >> 31U);
  }
  return gear;
}
constexpr auto kGear = make_gear();

// The upper bits of a gear hash depend on the last 64 bytes, the lower ones on few: masks take the upper.
constexpr std::uint64_t kStrictMask = 0xffffULL << 48U;
constexpr std::uint64_t kLooseMask = 0xfffULL << 52U;

}  // namespace

std::size_t first_chunk_bytes(BytesView data) {
  if (data.size() <= kMinChunkBytes) return data.size();
  const std::size_t end = std::min(data.size(), kMaxChunkBytes);
  const std::size_t normal = std::min(end, kNormalChunkBytes);
  std::uint64_t hash = 0;
  std::size_t at = kMinChunkBytes;
  for (; at < normal; ++at) {
    hash = (hash << 1U) + kGear[std::to_integer<std::size_t>(data[at])];
    if ((hash & kStrictMask) == 0) return at + 1;
  }
  for (; at < end; ++at) {
    hash = (hash << 1U) + kGear[std::to_integer<std::size_t>(data[at])];
    if ((hash & kLooseMask) == 0) return at + 1;
  }
  return end;
}

}  // namespace wayside::ota
