// SPDX-License-Identifier: Apache-2.0
// What the AVX-VNNI and AVX512-VNNI files share: bytes interleaved, converted and summed with 256-bit vectors.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_isa.h"

namespace wayside::accel::cpu {
namespace {

/// 16 channels as 8 + 8: the low halves of both 128-bit lanes, so that unpacks within lanes keep the channels together.
inline I load_split(const std::uint8_t* from) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

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

  template <Part kPart>
  [[gnu::always_inline]] Column<1> column(const std::uint8_t* r0, const std::uint8_t* r1, const std::uint8_t* r2,
                                          const std::uint8_t* r3) const {
    const auto row = [](const std::uint8_t* from) { return kPart == Part::whole ? load_split(from) : load(from); };
    const auto zip = [](I a, I b) {
      return kPart == Part::high_half ? _mm256_unpackhi_epi8(a, b) : _mm256_unpacklo_epi8(a, b);
    };
    const I first = flipped(zip(row(r0), row(r1)));
    const I second = flipped(zip(row(r2), row(r3)));
    return Column<1>{{{_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)}}};
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t /*zero_point*/) {
    const I mask = _mm256_set1_epi8(static_cast<char>(flip));
    std::size_t i = 0;
    for (; i + 32 <= count; i += 32) store(to + i, _mm256_xor_si256(load(from + i), mask));
    if (i + 16 <= count) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm_xor_si128(bytes, _mm256_castsi256_si128(mask)));
      i += 16;
    }
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

/// Partial sums of `count` < 32 bytes, a multiple of 4 unless there is slack to read beyond them.
inline I sum_tail(const std::uint8_t* bytes, std::size_t count, bool slack) {
  const I zero = _mm256_setzero_si256();
  if (slack) return _mm256_sad_epu8(first_bytes(load(bytes), count), zero);
  __m128i sum = _mm_setzero_si128();
  const __m128i none = sum;
  if ((count & 16) != 0) {
    sum = _mm_sad_epu8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)), none);
    bytes += 16;
  }
  if ((count & 8) != 0) {
    sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)), none));
    bytes += 8;
  }
  if ((count & 4) != 0) {
    std::int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_cvtsi32_si128(four), none));
  }
  return _mm256_zextsi128_si256(sum);
}

inline I row_sum(const std::uint8_t* bytes, std::size_t byte_count, bool slack) {
  const I zero = _mm256_setzero_si256();
  I sum = zero;
  std::size_t i = 0;
  for (; i + 32 <= byte_count; i += 32) sum = _mm256_add_epi64(sum, _mm256_sad_epu8(load(bytes + i), zero));
  if (i < byte_count) sum = _mm256_add_epi64(sum, sum_tail(bytes + i, byte_count - i, slack));
  return sum;
}

inline void row_sums(std::int32_t* sums, const std::uint8_t* const* rows, std::size_t row_count, std::size_t byte_count,
                     std::int32_t scale, bool slack) {
  const __m128i scales = _mm_set1_epi32(scale);
  const auto four = [&](const std::uint8_t* r0, const std::uint8_t* r1, const std::uint8_t* r2,
                        const std::uint8_t* r3) {
    // Sums stay below 2^32: two rows share a 64-bit lane.
    const I first =
        _mm256_add_epi64(row_sum(r0, byte_count, slack), _mm256_slli_epi64(row_sum(r1, byte_count, slack), 32));
    const I second =
        _mm256_add_epi64(row_sum(r2, byte_count, slack), _mm256_slli_epi64(row_sum(r3, byte_count, slack), 32));
    const I both = _mm256_add_epi32(_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second));
    return _mm_mullo_epi32(_mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)), scales);
  };
  std::size_t row = 0;
  for (; row + 4 <= row_count; row += 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums + row),
                     four(rows[row], rows[row + 1], rows[row + 2], rows[row + 3]));
  }
  for (; row < row_count; ++row) sums[row] = _mm_cvtsi128_si32(four(rows[row], rows[row], rows[row], rows[row]));
}

}  // namespace
}  // namespace wayside::accel::cpu
