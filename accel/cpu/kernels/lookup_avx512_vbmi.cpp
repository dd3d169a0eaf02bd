// SPDX-License-Identifier: Apache-2.0
// Table lookup with AVX512-VBMI: two permutations of 128 answers each.
#include <immintrin.h>

#include "accel/cpu/kernels/elementwise.h"

namespace wayside::accel::cpu {

void lookup_avx512_vbmi(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out, std::size_t count) {
  constexpr std::size_t kBytes = 64;
  const std::uint8_t* answers = rows.answers.data();
  const __m512i t0 = _mm512_loadu_si512(answers), t1 = _mm512_loadu_si512(answers + 64);
  const __m512i t2 = _mm512_loadu_si512(answers + 128), t3 = _mm512_loadu_si512(answers + 192);
  const auto find = [&](__m512i index) {
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1), high = _mm512_permutex2var_epi8(t2, index, t3);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
  };
  std::size_t i = 0;
  for (; i + kBytes <= count; i += kBytes) _mm512_storeu_si512(out + i, find(_mm512_loadu_si512(in + i)));
  if (i == count) return;
  const __mmask64 rest = (__mmask64{1} << (count - i)) - 1;
  _mm512_mask_storeu_epi8(out + i, rest, find(_mm512_maskz_loadu_epi8(rest, in + i)));
}

}  // namespace wayside::accel::cpu
