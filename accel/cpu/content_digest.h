// SPDX-License-Identifier: Apache-2.0
// ContentDigest: 128 bits that differ for different bytes, at the speed of memory; finds damage and exchange, no
// forgery.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace wayside::accel::cpu {

using ContentDigest = std::array<std::uint64_t, 2>;

/// Eight lanes of 64 bits, each word going into one: lane = rotate((lane ^ word) * odd constant). Every such step is
/// invertible in the word, so damage within one word always shows; other changes are missed once in 2^128. Whoever may
/// write the file can also compute its digest: it is no signature.
class ContentHasher {
 public:
  /// In pieces; all but the last must be multiples of kBlockBytes long.
  static constexpr std::size_t kBlockBytes = 64;
  void update(std::span<const std::byte> bytes);
  [[nodiscard]] ContentDigest digest() const;

 private:
  static constexpr std::size_t kLanes = kBlockBytes / sizeof(std::uint64_t);
  void add_block(const std::byte* block);
  std::array<std::uint64_t, kLanes> lanes_{1, 2, 3, 4, 5, 6, 7, 8};
  std::uint64_t byte_count_ = 0;
};

}  // namespace wayside::accel::cpu
