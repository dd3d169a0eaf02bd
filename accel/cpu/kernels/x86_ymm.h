// SPDX-License-Identifier: Apache-2.0
// 256-bit x86: requantisation and the matrix product, shared by the AVX2 and AVX-VNNI files, which differ in the dot
// product alone.
// Included only by files with their own instruction-set flags: everything has internal linkage and no library templates
// are used, so that no code with these flags can stand in for baseline code at link time.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {
namespace {

using I = __m256i;

inline I load(const void* from) { return _mm256_loadu_si256(static_cast<const I*>(from)); }
inline void store(void* to, I value) { _mm256_storeu_si256(static_cast<I*>(to), value); }
inline I broadcast_dword(const std::uint8_t* from) {
  std::int32_t value;
  std::memcpy(&value, from, sizeof value);
  return _mm256_set1_epi32(value);
}

template <int kValue>
struct Number {
  constexpr operator int() const { return kValue; }  // NOLINT: is meant to stand for the value
};

/// body(kFirst), body(kFirst + kStep), ... below kLast, each a constant: arrays indexed so are registers from the
/// start, while a loop that is unrolled late leaves them in memory, or copies them within the innermost loop.
template <int kFirst, int kLast, int kStep, class Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  if constexpr (kFirst < kLast) {
    body(Number<kFirst>{});
    unrolled<kFirst + kStep, kLast, kStep>(body);
  }
}

/// The same pointer, but new to the compiler: what lies behind it is loaded where it is used, instead of being kept in
/// registers that do not suffice and spilled around the loop.
template <class T>
inline const T* opaque(const T* pointer) {
  asm volatile("" : "+r"(pointer));
  return pointer;
}

/// The compiler must have the value in a register here, and so keeps it in one through the loop before.
[[gnu::always_inline]] inline void in_register(I& value) { asm("" : "+x"(value)); }

/// While it lives, single precision is rounded towards minus infinity if `on`: the precise forms.
class RoundDown {
 public:
  explicit RoundDown(bool on) : before_(_mm_getcsr()) {
    if (on) _mm_setcsr((before_ & ~kRounding) | kDown);
  }
  ~RoundDown() { _mm_setcsr(before_); }
  RoundDown(const RoundDown&) = delete;
  RoundDown& operator=(const RoundDown&) = delete;

 private:
  static constexpr unsigned kRounding = 0x6000, kDown = 0x2000;  // MXCSR.RC
  unsigned before_;
};

/// Sums of lanes [lane, lane + 8) of kCount pixels to scaled values, in place, in order; the zero point is in them only
/// where kMode is floating. The constants are loaded once for all pixels.
template <RequantMode kMode, int kCount>
[[gnu::always_inline]] inline void scale_sums(I (&sums)[kCount], const RequantBlock* constants, std::size_t lane) {
  const RequantBlock& block = *opaque(constants);
  if constexpr (kMode == RequantMode::floating) {
    const __m256 scale = _mm256_loadu_ps(&block.scale[lane]);
    const __m256 offset = _mm256_loadu_ps(&block.offset[lane]);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      sums[i] = _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[i]), scale, offset));
    }
    return;
  }
  if constexpr (kMode == RequantMode::floating_signed) {
    const __m256 scale = _mm256_loadu_ps(&block.scale[lane]);
    const __m256 offset = _mm256_loadu_ps(&block.offset[lane]);
    const __m256 sign = _mm256_set1_ps(-0.0F);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const __m256 x = _mm256_cvtepi32_ps(sums[i]);
      const __m256 half = _mm256_or_ps(_mm256_and_ps(x, sign), offset);
      sums[i] = _mm256_cvtps_epi32(_mm256_fmadd_ps(x, scale, half));
    }
    return;
  }
  if constexpr (is_precise(kMode)) {
    const __m256 scale = _mm256_loadu_ps(&block.scale[lane]);
    const __m256 scale_low = _mm256_loadu_ps(&block.scale_low[lane]);
    const __m256 offset = _mm256_loadu_ps(&block.offset[lane]);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const __m256 x = _mm256_cvtepi32_ps(sums[i]);
      __m256 start = offset;
      if constexpr (kMode == RequantMode::precise_signed) {
        start = _mm256_or_ps(_mm256_and_ps(x, _mm256_set1_ps(-0.0F)), offset);
      }
      sums[i] = _mm256_cvtps_epi32(_mm256_fmadd_ps(x, scale, _mm256_fmadd_ps(x, scale_low, start)));
    }
    return;
  }
  const I multiplier = load(&block.multiplier[lane]);
  const I multiplier_odd = load(&block.multiplier_odd[lane]);
  const I round_even = load(&block.round_even[lane / 2]);
  const I round_odd = load(&block.round_odd[lane / 2]);
  const I right = load(&block.right[lane]);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    I x = sums[i];
    if constexpr (kMode == RequantMode::symmetric) x = _mm256_abs_epi32(x);
    if constexpr (kMode == RequantMode::general) x = _mm256_sllv_epi32(x, load(&block.left[lane]));
    I even = _mm256_mul_epi32(x, multiplier);
    I odd = _mm256_mul_epi32(_mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(x))), multiplier_odd);
    even = _mm256_add_epi64(even, round_even);
    odd = _mm256_add_epi64(odd, round_odd);
    if constexpr (kMode == RequantMode::general) {
      even = _mm256_slli_epi64(even, 1);
      odd = _mm256_slli_epi64(odd, 1);
    }
    const I even_high = _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(even)));
    I high = _mm256_blend_epi32(even_high, odd, 0xAA);
    if constexpr (kMode == RequantMode::general) {
      const I sign = _mm256_and_si256(_mm256_srai_epi32(high, 31), load(&block.sign_mask[lane]));
      high = _mm256_add_epi32(_mm256_add_epi32(high, load(&block.half[lane])), sign);
    }
    const I scaled = _mm256_srav_epi32(high, right);
    sums[i] = kMode == RequantMode::symmetric ? _mm256_sign_epi32(scaled, sums[i]) : scaled;
  }
}

struct StageVectors {
  I zero_point, clamp_min, clamp_max, flip;
  explicit StageVectors(const OutputStage& stage)
      : zero_point(_mm256_set1_epi16(stage.zero_point)),
        clamp_min(_mm256_set1_epi8(stage.clamp_min)),
        clamp_max(_mm256_set1_epi8(stage.clamp_max)),
        flip(_mm256_set1_epi8(static_cast<char>(stage.flip))) {}
};

template <RequantMode kMode>
[[gnu::always_inline]] inline I to_bytes(I words_a, I words_b, const StageVectors& stage) {
  if constexpr (kMode == RequantMode::precise_signed) {
    words_a = _mm256_srai_epi16(_mm256_adds_epi16(words_a, _mm256_set1_epi16(1)), 1);
    words_b = _mm256_srai_epi16(_mm256_adds_epi16(words_b, _mm256_set1_epi16(1)), 1);
  }
  if constexpr (kMode != RequantMode::floating) {
    words_a = _mm256_adds_epi16(words_a, stage.zero_point);
    words_b = _mm256_adds_epi16(words_b, stage.zero_point);
  }
  const I bytes = _mm256_packs_epi16(words_a, words_b);
  return _mm256_xor_si256(_mm256_min_epi8(_mm256_max_epi8(bytes, stage.clamp_min), stage.clamp_max), stage.flip);
}

/// Out of line, so that vectors stay in registers where there is no tail.
[[gnu::noinline, maybe_unused]] void store_tail(std::uint8_t* to, __m128i bytes, std::size_t count) {
  alignas(16) std::uint8_t buffer[kBlockLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer), bytes);
  for (std::size_t i = 0; i < count; ++i) to[i] = buffer[i];
}

[[gnu::always_inline]] inline void store_some(std::uint8_t* to, __m128i bytes, std::size_t count) {
  if (count >= kBlockLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  } else if (count == 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
  } else {
    store_tail(to, bytes, count);
  }
}

[[gnu::always_inline]] inline void store_pair(std::uint8_t* a, std::uint8_t* b, I bytes, std::size_t count) {
  store_some(a, _mm256_castsi256_si128(bytes), count);
  store_some(b, _mm256_extracti128_si256(bytes, 1), count);
}

[[gnu::always_inline]] inline void store_wide(std::uint8_t* to, I bytes, std::size_t count) {
  if (count >= 32) {
    store(to, bytes);
    return;
  }
  store_some(to, _mm256_castsi256_si128(bytes), count);
  if (count > kBlockLanes) store_some(to + kBlockLanes, _mm256_extracti128_si256(bytes, 1), count - kBlockLanes);
}

/// kRows pixels of 16 channels: sums[0] holds channels {0-3, 8-11}, sums[1] {4-7, 12-15}. Pixels are `stride` bytes
/// apart; the last of an odd number is packed with itself.
template <RequantMode kMode, int kRows>
[[gnu::always_inline]] inline void finish_tile(I (&sums)[2][kRows], const RequantBlock* block,
                                               const StageVectors& stage, std::uint8_t* out, std::size_t stride,
                                               std::size_t count) {
  scale_sums<kMode, kRows>(sums[0], block, 0);
  scale_sums<kMode, kRows>(sums[1], block, 8);
#pragma GCC unroll 3
  for (int row = 0; row < kRows; row += 2) {
    const int next = row + 1 < kRows ? row + 1 : row;
    const I bytes = to_bytes<kMode>(_mm256_packs_epi32(sums[0][row], sums[1][row]),
                                    _mm256_packs_epi32(sums[0][next], sums[1][next]), stage);
    store_pair(out + (row * stride), out + (next * stride), _mm256_permute4x64_epi64(bytes, 0xD8), count);
  }
}

/// The same for kRows pixels of 32 channels: {0-3, 16-19}, {4-7, 20-23}, {8-11, 24-27}, {12-15, 28-31}.
template <RequantMode kMode, int kRows>
[[gnu::always_inline]] inline void finish_tile(I (&sums)[4][kRows], const RequantBlock* block,
                                               const StageVectors& stage, std::uint8_t* out, std::size_t stride,
                                               std::size_t count) {
  scale_sums<kMode, kRows>(sums[0], block, 0);
  scale_sums<kMode, kRows>(sums[1], block, 8);
  scale_sums<kMode, kRows>(sums[2], block + 1, 0);
  scale_sums<kMode, kRows>(sums[3], block + 1, 8);
#pragma GCC unroll 2
  for (int row = 0; row < kRows; ++row) {
    store_wide(out + (row * stride),
               to_bytes<kMode>(_mm256_packs_epi32(sums[0][row], sums[1][row]),
                               _mm256_packs_epi32(sums[2][row], sums[3][row]), stage),
               count);
  }
}

/// The same for kRows pixels of 8 channels in natural order.
template <RequantMode kMode, int kRows>
[[gnu::always_inline]] inline void finish_tile(I (&sums)[1][kRows], const RequantBlock* block,
                                               const StageVectors& stage, std::uint8_t* out, std::size_t stride,
                                               std::size_t count) {
  scale_sums<kMode, kRows>(sums[0], block, 0);
#pragma GCC unroll 2
  for (int row = 0; row < kRows; row += 4) {
    const auto at = [&](int i) { return row + i < kRows ? row + i : kRows - 1; };
    // Dwords: a0 b0 c0 d0 | a1 b1 c1 d1, a0 being channels 0-3 of pixel a.
    const I bytes = to_bytes<kMode>(_mm256_packs_epi32(sums[0][at(0)], sums[0][at(1)]),
                                    _mm256_packs_epi32(sums[0][at(2)], sums[0][at(3)]), stage);
    const I pixels = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    const __m128i first = _mm256_castsi256_si128(pixels);
    const __m128i second = _mm256_extracti128_si256(pixels, 1);
    store_some(out + (at(0) * stride), first, count);
    store_some(out + (at(1) * stride), _mm_unpackhi_epi64(first, first), count);
    store_some(out + (at(2) * stride), second, count);
    store_some(out + (at(3) * stride), _mm_unpackhi_epi64(second, second), count);
  }
}

template <RequantMode kMode>
struct Mode {
  static constexpr RequantMode kValue = kMode;
};

/// body(Mode<mode>): code of its own for each form.
template <class Body>
[[gnu::always_inline]] inline void with_mode(RequantMode mode, const Body& body) {
  switch (mode) {
    case RequantMode::precise: return body(Mode<RequantMode::precise>{});
    case RequantMode::precise_signed: return body(Mode<RequantMode::precise_signed>{});
    case RequantMode::floating_signed: return body(Mode<RequantMode::floating_signed>{});
    case RequantMode::floating: return body(Mode<RequantMode::floating>{});
    case RequantMode::rectified: return body(Mode<RequantMode::rectified>{});
    case RequantMode::symmetric: return body(Mode<RequantMode::symmetric>{});
    case RequantMode::general: return body(Mode<RequantMode::general>{});
  }
}

/// The same for depthwise blocks, which have no form of layers that are not rectified (these are rare): nothing there.
template <class Body>
[[gnu::always_inline]] inline void with_depthwise_mode(RequantMode mode, const Body& body) {
  with_mode(mode, [&](auto form) __attribute__((always_inline)) {
    if constexpr (form.kValue != RequantMode::floating_signed && form.kValue != RequantMode::precise_signed) body(form);
  });
}

/// The weights that are needed next, fetched into the second-level cache while tiles work: in every inference of all
/// but small networks they come from the third level or from memory. Each tile of a column fetches its share, in steps
/// of less than a line, spread over all its products (Zen 4, AVX2: ResNet-50 and MobileNetV2 2.5 % faster; where
/// weights stay in the cache it cost 1 %, with 512 bits it gained nothing).
struct WeightsAhead {
  /// Layers with fewer weights are assumed to find them in the cache.
  static constexpr std::size_t kLeastBytes = std::size_t{32} * 1024;
  const std::byte* from = nullptr;
  std::size_t step_bytes = 0, share_bytes = 0;
  /// For a column of `tiles` tiles: the weights of the block after that at `channel`.
  WeightsAhead(const GemmArgs& args, std::size_t channel, std::size_t tiles) {
    const std::size_t row_groups = args.k_group_count * args.segment_count;
    const std::size_t next = channel + kBlockLanes;
    if (next >= args.channel_count || args.channel_count * row_groups * 4 < kLeastBytes) return;
    from = args.weights + (next * row_groups * 4);
    step_bytes = (kGroupBytes / static_cast<std::uint32_t>(tiles)) + 1;
    share_bytes = step_bytes * row_groups;
  }

 private:
  static constexpr std::uint32_t kGroupBytes = kBlockLanes * 4;
};

[[gnu::noinline, maybe_unused]] void copy_tail(std::uint8_t* out, std::size_t stride, const std::uint8_t* rows,
                                               std::size_t row_bytes, std::size_t row_count, std::size_t count) {
  for (std::size_t row = 0; row < row_count; ++row) std::memcpy(out + (row * stride), rows + (row * row_bytes), count);
}

/// kRows pixels x kVectors * 8 channels, of which the last may lie behind the output's.
template <class Dot, RequantMode kMode, int kVectors, int kRows>
[[gnu::always_inline]] inline void gemm_tile(const GemmArgs& args, const StageVectors& stages, std::size_t row,
                                             std::size_t channel, const std::byte* ahead, std::size_t ahead_step) {
  const RequantBlock& block = *opaque(&args.requant[channel / kBlockLanes]);
  const StageVectors& stage = *opaque(&stages);
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::byte* weights = args.weights + (channel * k_bytes * args.segment_count);
  const std::uint8_t* rows[kRows];
  I sums[kVectors][kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.rows[row + r];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[v][r] = load(&block.bias[v * 8]);
  }
  if (args.row_offsets != nullptr) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const I offset = _mm256_set1_epi32(args.row_offsets[row + r]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[v][r] = _mm256_add_epi32(sums[v][r], offset);
    }
  }
  const std::size_t segments_end = args.segment_count * args.segment_step;
  const auto multiply = [&](auto fetch) __attribute__((always_inline)) {
    std::size_t segment = 0;
    do {
      for (std::size_t k = segment; k < segment + k_bytes; k += 4, weights += kBlockLanes * 4) {
        I w[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) w[v] = load(weights + (v * 32));
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const I a = broadcast_dword(rows[r] + k);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) sums[v][r] = Dot::add(sums[v][r], a, w[v]);
        }
        if constexpr (fetch != 0) {
          _mm_prefetch(ahead, _MM_HINT_T1);
          ahead += ahead_step;
        }
      }
      segment += args.segment_step;
    } while (segment < segments_end);
  };
  if (ahead_step > 0) {
    multiply(Number<1>{});
  } else {
    multiply(Number<0>{});
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) in_register(sums[v][r]);
  }
  constexpr std::size_t kLanes = kVectors * 8;
  const std::size_t left = args.channel_count - channel;
  std::uint8_t* const out = args.out + (row * args.out_stride) + channel;
  const bool whole = left >= kLanes;
  std::uint8_t tail[kRows * kLanes];
  finish_tile<kMode, kRows>(sums, &block, stage, whole ? out : tail, whole ? args.out_stride : kLanes, kLanes);
  if (!whole) copy_tail(out, args.out_stride, tail, kLanes, kRows, left);
}

/// One pixel x 64 channels: enough independent sums to hide the dot product's latency where there is but one row.
template <class Dot>
inline void gemm_single(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel) {
  constexpr int kBlocks = 4;
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::size_t row_bytes = k_bytes * args.segment_count;
  const std::size_t block_bytes = row_bytes * kBlockLanes;
  const std::byte* weights = args.weights + (channel * row_bytes);
  const I offset = _mm256_set1_epi32(args.row_offsets != nullptr ? args.row_offsets[row] : 0);
  I sums[kBlocks][2][1];
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    const RequantBlock& block = args.requant[(channel / kBlockLanes) + b];
    sums[b][0][0] = _mm256_add_epi32(load(&block.bias[0]), offset);
    sums[b][1][0] = _mm256_add_epi32(load(&block.bias[8]), offset);
  }
  for (std::size_t segment = 0; segment < args.segment_count; ++segment) {
    const std::uint8_t* from = args.rows[row] + (segment * args.segment_step);
    for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
      const I a = broadcast_dword(from + k);
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        sums[b][0][0] = Dot::add(sums[b][0][0], a, load(weights + (b * block_bytes)));
        sums[b][1][0] = Dot::add(sums[b][1][0], a, load(weights + (b * block_bytes) + 32));
      }
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    const std::size_t first = channel + (b * kBlockLanes);
    const RequantBlock* block = args.requant + (first / kBlockLanes);
    with_mode(block->mode, [&](auto mode) __attribute__((always_inline)) {
      finish_tile<mode.kValue, 1>(sums[b], block, stage, args.out + (row * args.out_stride) + first, 0, kBlockLanes);
    });
  }
}

/// Tiles of `count` <= kRows rows each. One function for each size and form: with either chosen tile by tile, sums went
/// through memory.
template <class Dot, RequantMode kMode, int kVectors, int kRows>
[[gnu::noinline]] void gemm_tiles(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t tiles,
                                  std::size_t count, std::size_t channel, WeightsAhead& ahead) {
  if constexpr (kRows > 1) {
    if (count < static_cast<std::size_t>(kRows)) {
      gemm_tiles<Dot, kMode, kVectors, kRows - 1>(args, stage, row, tiles, count, channel, ahead);
      return;
    }
  }
  for (; tiles > 0; --tiles, row += kRows, ahead.from += ahead.share_bytes) {
    gemm_tile<Dot, kMode, kVectors, kRows>(args, stage, row, channel, ahead.from, ahead.step_bytes);
  }
}

/// All rows of one block of channels. Rows are shared out evenly: 7 rows as 4 + 3, not 6 + 1, since few rows cannot
/// hide the dot product's latency.
template <class Dot, int kVectors, int kMaxRows>
void gemm_column(const GemmArgs& args, const StageVectors& stage, std::size_t channel) {
  const std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows;
  const std::size_t count = args.row_count / tiles, larger = args.row_count % tiles;
  WeightsAhead ahead(args, channel, tiles);
  with_mode(args.requant[channel / kBlockLanes].mode, [&](auto mode) __attribute__((always_inline)) {
    gemm_tiles<Dot, mode.kValue, kVectors, kMaxRows>(args, stage, 0, larger, count + 1, channel, ahead);
    gemm_tiles<Dot, mode.kValue, kVectors, kMaxRows>(args, stage, larger * (count + 1), tiles - larger, count, channel,
                                                     ahead);
  });
}

template <class Dot>
void gemm(const GemmArgs& args) {
  const RoundDown rounding(args.stage.round_down);
  const StageVectors stage(args.stage);
  std::size_t channel = 0;
  if (args.row_count == 1) {
    for (; channel + (4 * kBlockLanes) <= args.channel_count; channel += 4 * kBlockLanes) {
      gemm_single<Dot>(args, stage, 0, channel);
    }
  }
  for (; channel + kHalfBlock < args.channel_count; channel += kBlockLanes) {
    gemm_column<Dot, 2, 6>(args, stage, channel);
  }
  if (channel < args.channel_count) gemm_column<Dot, 1, 8>(args, stage, channel);
}

}  // namespace
}  // namespace wayside::accel::cpu
