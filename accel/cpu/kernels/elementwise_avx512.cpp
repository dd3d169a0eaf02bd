// SPDX-License-Identifier: Apache-2.0
// Elementwise sums with 512-bit registers (AVX512-BW); the form is the one of elementwise_avx2.cpp.
#include <immintrin.h>

#include "accel/cpu/kernels/elementwise.h"

namespace wayside::accel::cpu {
namespace {

using Z = __m512i;

constexpr std::size_t kBytes = 64;

inline Z pair_of(std::int16_t even, std::int16_t odd) {
  const auto low = static_cast<std::uint16_t>(even);
  const auto high = static_cast<std::uint32_t>(static_cast<std::uint16_t>(odd)) << 16;
  return _mm512_set1_epi32(static_cast<std::int32_t>(high | low));
}

void linear_sum(const LinearSumArgs& args) {
  const auto& form = args.form;
  const Z high = pair_of(form.high_a, form.high_b), low = pair_of(form.low_a, form.low_b);
  const Z offset = _mm512_set1_epi32(form.offset), zero = _mm512_setzero_si512();
  const Z flip = _mm512_set1_epi8(static_cast<char>(args.flip));
  const Z least = _mm512_set1_epi8(args.clamp_min), most = _mm512_set1_epi8(args.clamp_max);
  const __m128i shift = _mm_cvtsi32_si128(form.shift);
  const auto scaled = [&](Z words) {
    const Z fine = _mm512_srai_epi32(_mm512_madd_epi16(words, low), 15);
    const Z sum = _mm512_add_epi32(_mm512_add_epi32(_mm512_madd_epi16(words, high), offset), fine);
    return _mm512_sra_epi32(sum, shift);
  };
  const auto result = [&](Z a, Z b) {
    const Z bytes_a = _mm512_xor_si512(a, flip), bytes_b = _mm512_xor_si512(b, flip);
    const Z first = _mm512_unpacklo_epi8(bytes_a, bytes_b), second = _mm512_unpackhi_epi8(bytes_a, bytes_b);
    const Z words_0 =
        _mm512_packs_epi32(scaled(_mm512_unpacklo_epi8(zero, first)), scaled(_mm512_unpackhi_epi8(zero, first)));
    const Z words_1 =
        _mm512_packs_epi32(scaled(_mm512_unpacklo_epi8(zero, second)), scaled(_mm512_unpackhi_epi8(zero, second)));
    const Z bytes = _mm512_packs_epi16(words_0, words_1);
    return _mm512_xor_si512(_mm512_min_epi8(_mm512_max_epi8(bytes, least), most), flip);
  };
  std::size_t i = 0;
  for (; i + kBytes <= args.count; i += kBytes) {
    _mm512_storeu_si512(args.out + i, result(_mm512_loadu_si512(args.a + i), _mm512_loadu_si512(args.b + i)));
  }
  if (i == args.count) return;
  const __mmask64 rest = (__mmask64{1} << (args.count - i)) - 1;
  const Z a = _mm512_maskz_loadu_epi8(rest, args.a + i), b = _mm512_maskz_loadu_epi8(rest, args.b + i);
  _mm512_mask_storeu_epi8(args.out + i, rest, result(a, b));
}

}  // namespace

ElementwiseIsa elementwise_avx512() {
  ElementwiseIsa isa = elementwise_avx2();
  isa.linear_sum = linear_sum;
  return isa;
}

}  // namespace wayside::accel::cpu
