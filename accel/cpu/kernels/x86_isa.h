// SPDX-License-Identifier: Apache-2.0
// What an x86 file hands to the drivers: the proof of single-precision forms, and the table of
// functions. Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_ymm_depthwise.h"

namespace wayside::accel::cpu {
namespace {

/// Sixteen tables of sixteen bytes: a byte xor the first index of a table is below 16 in that table alone; adding 0x70
/// (saturated) sets the top bit of all others, for which vpshufb answers zero.
inline I replaced(I bytes, const std::uint8_t* table) {
  const I reach = _mm256_set1_epi8(0x70);
  I result = _mm256_setzero_si256();
#pragma GCC unroll 16
  for (int part = 0; part < 16; ++part) {
    const I entries =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + (16 * part))));
    const I index = _mm256_adds_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(16 * part))), reach);
    result = _mm256_or_si256(result, _mm256_shuffle_epi8(entries, index));
  }
  return result;
}

void replace_bytes(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table) {
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) store(bytes + i, replaced(load(bytes + i), table));
  for (; i < count; ++i) bytes[i] = table[bytes[i]];
}

/// Which byte of 16 of row `row` lies at byte `at` of columns of three rows of pixels of kPixelBytes; negative where
/// another row's lies there. Sixteen bytes hold 16 / kPixelBytes whole pixels.
template <std::size_t kPixelBytes>
constexpr char column_source(std::size_t row, std::size_t at) {
  constexpr std::size_t kColumnBytes = 3 * kPixelBytes, kColumns = 16 / kPixelBytes;
  const bool here = at % kColumnBytes / kPixelBytes == row && at < kColumns * kColumnBytes;
  return static_cast<char>(here ? (at / kColumnBytes * kPixelBytes) + (at % kPixelBytes) : 0x80);
}

/// Five columns of RGB or sixteen of gray at a time, as long as 16 bytes of a row may be read.
template <std::size_t kPixelBytes>
std::size_t three_row_columns(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count,
                              std::uint8_t flip) {
  constexpr std::size_t kColumns = 16 / kPixelBytes, kReadable = (15 / kPixelBytes) + 1;
  alignas(16) static constexpr auto kOrder = [] {
    struct {
      char index[3][3][16];
    } order{};
    for (std::size_t part = 0; part < 3; ++part) {
      for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t i = 0; i < 16; ++i)
          order.index[part][row][i] = column_source<kPixelBytes>(row, (16 * part) + i);
      }
    }
    return order;
  }();
  const __m128i flips = _mm_set1_epi8(static_cast<char>(flip));
  std::size_t done = 0;
  for (; done + kReadable <= count; done += kColumns, to += kColumns * 3 * kPixelBytes) {
    const auto row = [&](std::size_t i) {
      return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + (kPixelBytes * done))), flips);
    };
    const __m128i r0 = row(0), r1 = row(1), r2 = row(2);
#pragma GCC unroll 3
    for (std::size_t part = 0; part < 3; ++part) {
      const auto from = [&](__m128i bytes, std::size_t i) {
        return _mm_shuffle_epi8(bytes, _mm_load_si128(reinterpret_cast<const __m128i*>(kOrder.index[part][i])));
      };
      const __m128i all = _mm_or_si128(_mm_or_si128(from(r0, 0), from(r1, 1)), from(r2, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (16 * part)), all);
    }
  }
  return done;
}

/// Where the exact form steps to each of four n; `doubt` collects those too near to an integer.
inline __m128i step_position(__m256d n, const FloatProof& proof, __m256d& doubt) {
  const __m256d start = _mm256_blendv_pd(_mm256_set1_pd(proof.start_below), _mm256_set1_pd(proof.start),
                                         _mm256_cmp_pd(n, _mm256_setzero_pd(), _CMP_GT_OQ));
  const __m256d position = _mm256_fmadd_pd(n, _mm256_set1_pd(proof.step), start);
  const __m256d distance =
      _mm256_sub_pd(position, _mm256_round_pd(position, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  const __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), distance);
  // Positions stay below 2^24: three roundings of 2^-29 each, with room to spare.
  doubt = _mm256_or_pd(doubt, _mm256_cmp_pd(magnitude, _mm256_set1_pd(0x1p-27), _CMP_LT_OQ));
  return _mm256_cvttpd_epi32(_mm256_ceil_pd(position));
}

/// The value of the form without the output zero point, which `floating` alone has in its offset.
inline I form_value(const FloatProof& proof, I sums) {
  const __m256 scale = _mm256_set1_ps(proof.scale), offset = _mm256_set1_ps(proof.offset);
  const __m256 x = _mm256_cvtepi32_ps(sums);
  if (!is_precise(proof.mode)) {
    const I value = _mm256_cvtps_epi32(_mm256_fmadd_ps(x, scale, offset));
    return _mm256_sub_epi32(value, _mm256_set1_epi32(proof.zero_point));
  }
  const bool is_signed = proof.mode == RequantMode::precise_signed;
  const __m256 sign = _mm256_set1_ps(is_signed ? -0.0F : 0.0F);
  const __m256 low = _mm256_fmadd_ps(x, _mm256_set1_ps(proof.scale_low), _mm256_or_ps(_mm256_and_ps(x, sign), offset));
  const I value = _mm256_cvtps_epi32(_mm256_fmadd_ps(x, scale, low));
  return is_signed ? _mm256_srai_epi32(_mm256_add_epi32(value, _mm256_set1_epi32(1)), 1) : value;
}

inline bool float_is_exact(const FloatProof& proof) {
  const RoundDown rounding(is_precise(proof.mode));
  const I last = _mm256_set1_epi32(proof.last_step);
  const I one = _mm256_set1_epi32(1);
  __m256d doubt = _mm256_setzero_pd();
  I wrong = _mm256_setzero_si256();
  for (std::int32_t first = proof.first_step; first <= proof.last_step; first += 8) {
    I n = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    n = _mm256_min_epi32(n, last);
    const __m128i low = step_position(_mm256_cvtepi32_pd(_mm256_castsi256_si128(n)), proof, doubt);
    const __m128i high = step_position(_mm256_cvtepi32_pd(_mm256_extracti128_si256(n, 1)), proof, doubt);
    const I x = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    const I before = form_value(proof, _mm256_sub_epi32(x, one));
    wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(n, form_value(proof, x)));
    wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(before, _mm256_sub_epi32(n, one)));
    if (_mm256_testz_si256(wrong, wrong) == 0) return false;
  }
  return _mm256_movemask_pd(doubt) == 0;
}

/// Lane -> channel after packs_epi32 of lanes 0-7 with lanes 8-15.
constexpr std::uint8_t packed_channel(std::size_t lane) {
  const std::size_t vector = lane / 8;
  const std::size_t half = lane % 8 / 4;
  return static_cast<std::uint8_t>((half * 8) + (vector * 4) + (lane % 4));
}

/// Lane -> channel of a 32-channel block, see finish_wide.
constexpr std::uint8_t wide_channel(std::size_t lane) {
  return static_cast<std::uint8_t>((lane % 8 / 4 * 16) + (lane / 8 * 4) + (lane % 4));
}

inline Isa make_base_isa(Level level, std::size_t element_bytes, std::size_t depthwise_lanes) {
  Isa isa;
  isa.level = level;
  isa.element_bytes = element_bytes;
  isa.depthwise_block = depthwise_lanes;
  for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
    isa.gemm_channel[lane] = packed_channel(lane);
    isa.gemm_half_channel[lane] = static_cast<std::uint8_t>(lane);
    isa.depthwise_tail_channel[lane] = packed_channel(lane);
  }
  for (std::size_t lane = 0; lane < kStripLanes; ++lane) isa.depthwise_channel[lane] = wide_channel(lane);
  isa.float_is_exact = float_is_exact;
  isa.replace_bytes = replace_bytes;
  isa.gray_columns = three_row_columns<1>;
  isa.rgb_columns = three_row_columns<3>;
  return isa;
}

template <class Dot>
Isa make_isa(Level level) {
  Isa isa = make_base_isa(level, Dot::kElementBytes, Dot::kDepthwiseBlock);
  isa.segments = true;
  isa.gemm = gemm<Dot>;
  isa.depthwise = depthwise<Dot>;
  isa.convert = Dot::convert;
  return isa;
}

}  // namespace
}  // namespace wayside::accel::cpu
