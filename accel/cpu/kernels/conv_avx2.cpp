// SPDX-License-Identifier: Apache-2.0
// AVX2: vpmaddwd on 16-bit values with the zero points already subtracted; exact, unlike the saturating vpmaddubsw.
#include "accel/cpu/kernels/x86_isa.h"

namespace wayside::accel::cpu {
namespace {

class WordDot {
 public:
  static constexpr std::size_t kElementBytes = 2;
  static constexpr std::size_t kSlots = 2;
  static constexpr std::size_t kDepthwiseBlock = 16;
  static constexpr std::size_t read_bytes(std::size_t lanes) { return lanes; }

  WordDot(std::uint8_t flip, std::int16_t zero_point)
      : flip_(_mm_set1_epi8(static_cast<char>(flip))), zero_point_(_mm256_set1_epi16(zero_point)) {}

  static I add(I sum, I activations, I weights) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(activations, weights));
  }

  template <std::size_t kLanes, class Source>
  void interleave(std::byte* to, Source source) const {
    static_assert(kLanes == kDepthwiseBlock);
    const I first = widen(source(0));
    const I second = widen(source(1));
    store(to, _mm256_unpacklo_epi16(first, second));
    store(to + 32, _mm256_unpackhi_epi16(first, second));
  }

  template <Part kPart>
  [[nodiscard, gnu::always_inline]] Column<2> column(const std::uint8_t* row0, const std::uint8_t* row1,
                                                     const std::uint8_t* row2, const std::uint8_t* row3) const {
    static_assert(kPart == Part::whole);
    const I r0 = word(row0), r1 = word(row1), r2 = word(row2), r3 = word(row3);
    return {{{_mm256_unpacklo_epi16(r0, r1), _mm256_unpackhi_epi16(r0, r1)},
             {_mm256_unpacklo_epi16(r2, r3), _mm256_unpackhi_epi16(r2, r3)}}};
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t zero_point) {
    const WordDot dot(flip, zero_point);
    std::size_t i = 0;
    for (; i + 16 <= count; i += 16) store(to + (2 * i), dot.widen(from + i));
    for (; i < count; ++i) {
      const auto value = static_cast<std::int16_t>((from[i] ^ flip) - zero_point);
      std::memcpy(to + (2 * i), &value, sizeof value);
    }
  }

 private:
  /// Zero points are in the bias where rows roll.
  [[nodiscard]] I word(const std::uint8_t* from) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_cvtepu8_epi16(_mm_xor_si128(bytes, flip_));
  }
  [[nodiscard]] I widen(const std::uint8_t* from) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_xor_si128(bytes, flip_)), zero_point_);
  }

  __m128i flip_;
  I zero_point_;
};

}  // namespace

const Isa& avx2_isa() {
  static const Isa isa = [] {
    Isa made = make_isa<WordDot>(Level::avx2);
    made.zero_in_bias = true;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
