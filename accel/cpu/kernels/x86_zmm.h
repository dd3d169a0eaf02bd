// SPDX-License-Identifier: Apache-2.0
// 512-bit x86: requantisation and stores, shared by the AVX512-VNNI files.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_vnni.h"

namespace wayside::accel::cpu {
namespace {

using Z = __m512i;

inline Z load_wide(const void* from) { return _mm512_loadu_si512(from); }

/// As scale_sums of x86_ymm.h, for the 16 lanes of one block.
template <RequantMode kMode, int kCount>
inline void scale_wide(Z (&sums)[kCount], const RequantBlock* constants) {
  const RequantBlock& block = *opaque(constants);
  if constexpr (kMode == RequantMode::floating) {
    const __m512 scale = _mm512_loadu_ps(block.scale.data());
    const __m512 offset = _mm512_loadu_ps(block.offset.data());
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      sums[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i]), scale, offset));
    }
    return;
  }
  if constexpr (kMode == RequantMode::floating_signed) {
    const __m512 scale = _mm512_loadu_ps(block.scale.data());
    const __m512 offset = _mm512_loadu_ps(block.offset.data());
    const __m512 sign = _mm512_set1_ps(-0.0F);
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      const __m512 x = _mm512_cvtepi32_ps(sums[i]);
      const __m512 half = _mm512_or_ps(_mm512_and_ps(x, sign), offset);
      sums[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(x, scale, half));
    }
    return;
  }
  if constexpr (is_precise(kMode)) {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const __m512 scale = _mm512_loadu_ps(block.scale.data());
    const __m512 scale_low = _mm512_loadu_ps(block.scale_low.data());
    const __m512 offset = _mm512_loadu_ps(block.offset.data());
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      const __m512 x = _mm512_cvt_roundepi32_ps(sums[i], kDown);
      __m512 start = offset;
      if constexpr (kMode == RequantMode::precise_signed) {
        start = _mm512_or_ps(_mm512_and_ps(x, _mm512_set1_ps(-0.0F)), offset);
      }
      const __m512 low = _mm512_fmadd_round_ps(x, scale_low, start, kDown);
      sums[i] = _mm512_cvt_roundps_epi32(_mm512_fmadd_round_ps(x, scale, low, kDown), kDown);
    }
    return;
  }
  const Z multiplier = load_wide(block.multiplier.data());
  const Z multiplier_odd = load_wide(block.multiplier_odd.data());
  const Z round_even = load_wide(block.round_even.data());
  const Z round_odd = load_wide(block.round_odd.data());
  const Z right = load_wide(block.right.data());
#pragma GCC unroll 12
  for (int i = 0; i < kCount; ++i) {
    Z x = sums[i];
    if constexpr (kMode == RequantMode::symmetric) x = _mm512_abs_epi32(x);
    if constexpr (kMode == RequantMode::general) x = _mm512_sllv_epi32(x, load_wide(block.left.data()));
    Z even = _mm512_add_epi64(_mm512_mul_epi32(x, multiplier), round_even);
    Z odd = _mm512_mul_epi32(_mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(x))), multiplier_odd);
    odd = _mm512_add_epi64(odd, round_odd);
    if constexpr (kMode == RequantMode::general) {
      even = _mm512_slli_epi64(even, 1);
      odd = _mm512_slli_epi64(odd, 1);
    }
    Z high = _mm512_castps_si512(
        _mm512_mask_movehdup_ps(_mm512_castsi512_ps(odd), __mmask16{0x5555}, _mm512_castsi512_ps(even)));
    if constexpr (kMode == RequantMode::general) {
      const Z sign = _mm512_and_si512(_mm512_srai_epi32(high, 31), load_wide(block.sign_mask.data()));
      high = _mm512_add_epi32(_mm512_add_epi32(high, load_wide(block.half.data())), sign);
    }
    const Z scaled = _mm512_srav_epi32(high, right);
    if constexpr (kMode == RequantMode::symmetric) {
      sums[i] = _mm512_mask_sub_epi32(scaled, _mm512_movepi32_mask(sums[i]), _mm512_setzero_si512(), scaled);
    } else {
      sums[i] = scaled;
    }
  }
}

struct WideStage {
  Z zero_point, clamp_min, clamp_max, flip;
  explicit WideStage(const OutputStage& stage)
      : zero_point(_mm512_set1_epi16(stage.zero_point)),
        clamp_min(_mm512_set1_epi8(stage.clamp_min)),
        clamp_max(_mm512_set1_epi8(stage.clamp_max)),
        flip(_mm512_set1_epi8(static_cast<char>(stage.flip))) {}
};

/// Four times 16 scaled values to 64 bytes; dword i of 128-bit lane j then holds lanes 4j..4j+3 of vector i.
template <RequantMode kMode>
inline Z to_bytes(Z a, Z b, Z c, Z d, const WideStage& stage) {
  Z first = _mm512_packs_epi32(a, b);
  Z second = _mm512_packs_epi32(c, d);
  if constexpr (kMode == RequantMode::precise_signed) {
    first = _mm512_srai_epi16(_mm512_adds_epi16(first, _mm512_set1_epi16(1)), 1);
    second = _mm512_srai_epi16(_mm512_adds_epi16(second, _mm512_set1_epi16(1)), 1);
  }
  if constexpr (kMode != RequantMode::floating) {
    first = _mm512_adds_epi16(first, stage.zero_point);
    second = _mm512_adds_epi16(second, stage.zero_point);
  }
  const Z bytes = _mm512_packs_epi16(first, second);
  return _mm512_xor_si512(_mm512_min_epi8(_mm512_max_epi8(bytes, stage.clamp_min), stage.clamp_max), stage.flip);
}

/// Bytes of vector 0, then of vector 1, ...
inline Z in_vector_order(Z bytes) {
  const Z order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, bytes);
}

// Masked stores cost several plain ones on Zen 4: only where there is a tail.
inline void store_first(std::uint8_t* to, Z bytes, std::size_t count) {
  if (count >= 64) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, (__mmask64{1} << count) - 1, bytes);
  }
}
inline void store_first(std::uint8_t* to, __m256i bytes, std::size_t count) {
  if (count >= 32) {
    store(to, bytes);
  } else {
    _mm256_mask_storeu_epi8(to, (__mmask32{1} << count) - 1, bytes);
  }
}
inline void store_first(std::uint8_t* to, __m128i bytes, std::size_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  } else {
    _mm_mask_storeu_epi8(to, static_cast<__mmask16>((1U << count) - 1), bytes);
  }
}

/// kRows pixels of kVectors * 16 channels in natural order, `count` of them stored.
template <RequantMode kMode, int kVectors, int kRows>
inline void finish_wide(Z (&sums)[kVectors][kRows], const RequantBlock* block, const WideStage& stage,
                        std::uint8_t* out, std::size_t stride, std::size_t count) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) scale_wide<kMode, kRows>(sums[v], block + v);
  if constexpr (kVectors >= 3) {
    unrolled<0, kRows, 1>([&](auto r) __attribute__((always_inline)) {
      const Z bytes = to_bytes<kMode>(sums[0][r], sums[1][r], sums[2][r], sums[kVectors - 1][r], stage);
      store_first(out + (r * stride), in_vector_order(bytes), count);
    });
  } else if constexpr (kVectors == 2) {
    unrolled<0, kRows, 2>([&](auto r) __attribute__((always_inline)) {
      constexpr int kNext = r + 1 < kRows ? r + 1 : r;
      const Z bytes = in_vector_order(to_bytes<kMode>(sums[0][r], sums[1][r], sums[0][kNext], sums[1][kNext], stage));
      store_first(out + (r * stride), _mm512_castsi512_si256(bytes), count);
      store_first(out + (kNext * stride), _mm512_extracti64x4_epi64(bytes, 1), count);
    });
  } else {
    unrolled<0, kRows, 4>([&](auto r) __attribute__((always_inline)) {
      constexpr int kA = r, kB = kA + 1 < kRows ? kA + 1 : kA, kC = kB + 1 < kRows ? kB + 1 : kB,
                    kD = kC + 1 < kRows ? kC + 1 : kC;
      const Z bytes = in_vector_order(to_bytes<kMode>(sums[0][kA], sums[0][kB], sums[0][kC], sums[0][kD], stage));
      store_first(out + (kA * stride), _mm512_castsi512_si128(bytes), count);
      store_first(out + (kB * stride), _mm512_extracti32x4_epi32(bytes, 1), count);
      store_first(out + (kC * stride), _mm512_extracti32x4_epi32(bytes, 2), count);
      store_first(out + (kD * stride), _mm512_extracti32x4_epi32(bytes, 3), count);
    });
  }
}

/// Two pixels of kVectors * 16 channels. A register holds the channels of two 256-bit vectors of x86_ymm.h:
/// {0-3, 16-19, 4-7, 20-23}, {8-11, 24-27, 12-15, 28-31}, or {0-3, 8-11, 4-7, 12-15} where there is but one.
template <RequantMode kMode, int kVectors>
inline void finish_pixels(Z (&sums)[kVectors][2], const RequantBlock* block, const WideStage& stage, std::uint8_t* a,
                          std::uint8_t* b, std::size_t count) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) scale_wide<kMode, 2>(sums[v], block + v);
  if constexpr (kVectors == 2) {
    const Z order = _mm512_setr_epi32(0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15);
    const Z bytes =
        _mm512_permutexvar_epi32(order, to_bytes<kMode>(sums[0][0], sums[1][0], sums[0][1], sums[1][1], stage));
    store_first(a, _mm512_castsi512_si256(bytes), count);
    store_first(b, _mm512_extracti64x4_epi64(bytes, 1), count);
  } else {
    const Z order = _mm512_setr_epi32(0, 8, 4, 12, 1, 9, 5, 13, 0, 8, 4, 12, 1, 9, 5, 13);
    const Z bytes =
        _mm512_permutexvar_epi32(order, to_bytes<kMode>(sums[0][0], sums[0][1], sums[0][0], sums[0][1], stage));
    store_first(a, _mm512_castsi512_si128(bytes), count);
    store_first(b, _mm512_extracti32x4_epi32(bytes, 1), count);
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
