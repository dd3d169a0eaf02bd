// SPDX-License-Identifier: Apache-2.0
// What the AVX-VNNI and AVX512-VNNI files share: bytes interleaved, converted and summed with 256-bit vectors.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_ymm.h"

namespace wayside::accel::cpu {
namespace {

class VnniBytes {
 public:
  static constexpr std::size_t kElementBytes = 1;
  static constexpr std::size_t kSlots = 4;
  static constexpr std::size_t kDepthwiseBlock = 32;
  static constexpr std::size_t read_bytes(std::size_t lanes) { return lanes == 32 ? 32 : 24; }

  VnniBytes(std::uint8_t flip, std::int16_t /*zero_point*/) : flip_(_mm256_set1_epi8(static_cast<char>(flip))) {}

  /// Four slots of kLanes channels side by side; stored at once, so that nothing passes through an array.
  template <std::size_t kLanes, class Source>
  void interleave(std::byte* to, Source source) const {
    if constexpr (kLanes == 16) {
      const I first = flipped(_mm256_unpacklo_epi8(load_split(source(0)), load_split(source(1))));
      const I second = flipped(_mm256_unpacklo_epi8(load_split(source(2)), load_split(source(3))));
      store(to, _mm256_unpacklo_epi16(first, second));
      store(to + 32, _mm256_unpackhi_epi16(first, second));
    } else {
      const I r0 = load(source(0));
      const I r1 = load(source(1));
      const I r2 = load(source(2));
      const I r3 = load(source(3));
      const I first = flipped(_mm256_unpacklo_epi8(r0, r1));
      const I second = flipped(_mm256_unpacklo_epi8(r2, r3));
      const I third = flipped(_mm256_unpackhi_epi8(r0, r1));
      const I fourth = flipped(_mm256_unpackhi_epi8(r2, r3));
      store(to, _mm256_unpacklo_epi16(first, second));
      store(to + 32, _mm256_unpackhi_epi16(first, second));
      store(to + 64, _mm256_unpacklo_epi16(third, fourth));
      store(to + 96, _mm256_unpackhi_epi16(third, fourth));
    }
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t /*zero_point*/) {
    const I mask = _mm256_set1_epi8(static_cast<char>(flip));
    std::size_t i = 0;
    for (; i + 32 <= count; i += 32) store(to + i, _mm256_xor_si256(load(from + i), mask));
    for (; i < count; ++i) to[i] = from[i] ^ flip;
  }

 private:
  [[nodiscard]] I flipped(I bytes) const { return _mm256_xor_si256(bytes, flip_); }

  I flip_;
};

/// 32 bytes of which the first `count` are kept.
inline I first_bytes(I bytes, std::size_t count) {
  const I index = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
                                   24, 25, 26, 27, 28, 29, 30, 31);
  return _mm256_and_si256(bytes, _mm256_cmpgt_epi8(_mm256_set1_epi8(static_cast<char>(count)), index));
}

void row_sums(std::int32_t* sums, const std::uint8_t* const* rows, std::size_t row_count, std::size_t byte_count,
              std::int32_t scale, bool slack) {
  const I zero = _mm256_setzero_si256();
  for (std::size_t row = 0; row < row_count; ++row) {
    const std::uint8_t* bytes = rows[row];
    I sum = zero;
    std::size_t i = 0;
    for (; i + 32 <= byte_count; i += 32) sum = _mm256_add_epi64(sum, _mm256_sad_epu8(load(bytes + i), zero));
    if (slack && i < byte_count) {
      sum = _mm256_add_epi64(sum, _mm256_sad_epu8(first_bytes(load(bytes + i), byte_count - i), zero));
      i = byte_count;
    }
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    auto total = static_cast<std::int32_t>(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
    for (; i < byte_count; ++i) total += bytes[i];
    sums[row] = scale * total;
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
