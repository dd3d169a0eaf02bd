// SPDX-License-Identifier: Apache-2.0
// The inner loops for 256-bit x86, shared by the AVX2 and AVX-VNNI files, which differ in the dot product alone.
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

/// The same pointer, but new to the compiler: what lies behind it is loaded where it is used, instead of being kept in
/// registers that do not suffice and spilled around the loop.
template <class T>
inline const T* opaque(const T* pointer) {
  asm volatile("" : "+r"(pointer));
  return pointer;
}

/// Sums of lanes [lane, lane + 8) of kCount pixels to scaled values, in place, in order; the zero point is in them only
/// where kMode is floating. The constants are loaded once for all pixels.
template <RequantMode kMode, int kCount>
inline void scale_sums(I (&sums)[kCount], const RequantBlock* constants, std::size_t lane) {
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
inline I to_bytes(I words_a, I words_b, const StageVectors& stage) {
  if constexpr (kMode != RequantMode::floating) {
    words_a = _mm256_adds_epi16(words_a, stage.zero_point);
    words_b = _mm256_adds_epi16(words_b, stage.zero_point);
  }
  const I bytes = _mm256_packs_epi16(words_a, words_b);
  return _mm256_xor_si256(_mm256_min_epi8(_mm256_max_epi8(bytes, stage.clamp_min), stage.clamp_max), stage.flip);
}

inline void store_some(std::uint8_t* to, __m128i bytes, std::size_t count) {
  if (count >= kBlockLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  if (count == 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  alignas(16) std::uint8_t buffer[kBlockLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer), bytes);
  for (std::size_t i = 0; i < count; ++i) to[i] = buffer[i];
}

inline void store_pair(std::uint8_t* a, std::uint8_t* b, I bytes, std::size_t count) {
  store_some(a, _mm256_castsi256_si128(bytes), count);
  store_some(b, _mm256_extracti128_si256(bytes, 1), count);
}

inline void store_wide(std::uint8_t* to, I bytes, std::size_t count) {
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
inline void finish_tile(I (&sums)[2][kRows], const RequantBlock* block, const StageVectors& stage, std::uint8_t* out,
                        std::size_t stride, std::size_t count) {
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
inline void finish_tile(I (&sums)[4][kRows], const RequantBlock* block, const StageVectors& stage, std::uint8_t* out,
                        std::size_t stride, std::size_t count) {
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
inline void finish_tile(I (&sums)[1][kRows], const RequantBlock* block, const StageVectors& stage, std::uint8_t* out,
                        std::size_t stride, std::size_t count) {
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

template <int kVectors, int kRows>
inline void finish_tile_any(const GemmArgs& args, const StageVectors& stage, I (&sums)[kVectors][kRows],
                            std::size_t row, std::size_t channel) {
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  std::uint8_t* out = args.out + (row * args.out_stride) + channel;
  const std::size_t left = args.channel_count - channel;
  switch (block->floating != 0 ? RequantMode::floating : args.stage.mode) {
    case RequantMode::floating:
      finish_tile<RequantMode::floating, kRows>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::rectified:
      finish_tile<RequantMode::rectified, kRows>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::symmetric:
      finish_tile<RequantMode::symmetric, kRows>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::general:
      finish_tile<RequantMode::general, kRows>(sums, block, stage, out, args.out_stride, left);
      return;
  }
}

/// kRows pixels x kVectors * 8 channels.
template <class Dot, int kVectors, int kRows>
inline void gemm_tile(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel) {
  const RequantBlock& block = args.requant[channel / kBlockLanes];
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::byte* weights = args.weights + (channel * k_bytes);
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
  for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
    I w[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) w[v] = load(weights + (v * 32));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const I a = broadcast_dword(rows[r] + k);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[v][r] = Dot::add(sums[v][r], a, w[v]);
    }
  }
  finish_tile_any<kVectors, kRows>(args, stage, sums, row, channel);
}

/// One pixel x 64 channels: enough independent sums to hide the dot product's latency where there is but one row.
template <class Dot>
inline void gemm_single(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel) {
  constexpr int kBlocks = 4;
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::size_t block_bytes = k_bytes * kBlockLanes;
  const std::byte* weights = args.weights + (channel * k_bytes);
  const I offset = _mm256_set1_epi32(args.row_offsets != nullptr ? args.row_offsets[row] : 0);
  I sums[kBlocks][2][1];
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    const RequantBlock& block = args.requant[(channel / kBlockLanes) + b];
    sums[b][0][0] = _mm256_add_epi32(load(&block.bias[0]), offset);
    sums[b][1][0] = _mm256_add_epi32(load(&block.bias[8]), offset);
  }
  for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
    const I a = broadcast_dword(args.rows[row] + k);
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      sums[b][0][0] = Dot::add(sums[b][0][0], a, load(weights + (b * block_bytes)));
      sums[b][1][0] = Dot::add(sums[b][1][0], a, load(weights + (b * block_bytes) + 32));
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) finish_tile_any<2, 1>(args, stage, sums[b], row, channel + (b * kBlockLanes));
}

/// A tile of `count` <= kRows rows.
template <class Dot, int kVectors, int kRows>
inline void gemm_tile_of(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel,
                         std::size_t count) {
  if constexpr (kRows > 1) {
    if (count < static_cast<std::size_t>(kRows)) {
      gemm_tile_of<Dot, kVectors, kRows - 1>(args, stage, row, channel, count);
      return;
    }
  }
  gemm_tile<Dot, kVectors, kRows>(args, stage, row, channel);
}

/// All rows of one block of channels. Rows are shared out evenly: 7 rows as 4 + 3, not 6 + 1, since few rows cannot
/// hide the dot product's latency.
template <class Dot, int kVectors, int kMaxRows>
void gemm_column(const GemmArgs& args, const StageVectors& stage, std::size_t channel) {
  std::size_t row = 0;
  for (std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows; tiles > 0; --tiles) {
    const std::size_t count = (args.row_count - row + tiles - 1) / tiles;
    gemm_tile_of<Dot, kVectors, kMaxRows>(args, stage, row, channel, count);
    row += count;
  }
}

template <class Dot>
void gemm(const GemmArgs& args) {
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

/// Channels [channel, channel + kLanes) of one input column into the strip, slots interleaved.
template <class Dot, std::size_t kLanes, class Source>
inline void build_column(const DepthwiseArgs& args, std::byte* to, const Dot& dot, Source source) {
  for (std::size_t group = 0; group < args.group_count; ++group, to += kLanes * 4) {
    const std::size_t slot = group * Dot::kSlots;
    dot.template interleave<kLanes>(to, [&](std::size_t i) { return source(slot + i); });
  }
}

template <class Dot, std::size_t kLanes>
void build_strip(const DepthwiseArgs& args, const Dot& dot, std::size_t channel) {
  const std::size_t column_bytes = kLanes * 4 * args.group_count;
  alignas(32) std::uint8_t padding[32];
  std::memset(padding, args.zero_byte, sizeof padding);
  std::byte* to = args.strip;
  const auto pad = [&](std::size_t count) {
    for (; count > 0; --count, to += column_bytes) {
      build_column<Dot, kLanes>(args, to, dot, [&](std::size_t) { return padding; });
    }
  };
  pad(args.pad_left);
  std::size_t offset = channel;
  const std::size_t wanted = args.strip_columns - args.pad_left;
  const std::size_t columns = wanted < args.picture_columns ? wanted : args.picture_columns;
  for (std::size_t x = 0; x < columns; ++x, offset += args.channel_count, to += column_bytes) {
    if (offset + Dot::read_bytes(kLanes) <= args.readable_bytes) {
      build_column<Dot, kLanes>(args, to, dot, [&](std::size_t slot) { return args.rows[slot] + offset; });
      continue;
    }
    alignas(32) std::uint8_t edge[Dot::kSlots][32] = {};
    const std::size_t left = args.channel_count - channel;
    build_column<Dot, kLanes>(args, to, dot, [&](std::size_t slot) -> const std::uint8_t* {
      std::uint8_t* copy = edge[slot % Dot::kSlots];
      for (std::size_t i = 0; i < left && i < kLanes; ++i) copy[i] = args.rows[slot][offset + i];
      return copy;
    });
  }
  pad(wanted - columns);
}

/// Sums of kPixels neighbouring pixels of one output row. kWidth, kGroups, kSets: 0 = taken from args.
template <class Dot, int kWidth, int kGroups, int kSets, int kVectors, int kPixels>
inline void depthwise_sums(const DepthwiseArgs& args, const std::byte* column, const std::byte* w,
                           const RequantBlock* block, I (&sums)[kVectors][kPixels]) {
  const std::size_t width = kWidth != 0 ? kWidth : args.kernel_w;
  const std::size_t groups = kGroups != 0 ? kGroups : args.group_count;
  const std::size_t sets = kSets != 0 ? kSets : static_cast<std::size_t>(block->set_count);
  constexpr std::size_t kGroupBytes = kVectors * 32;
  const std::size_t tap_bytes = kGroupBytes * groups * args.dilation_w;
  const std::size_t step_bytes = kGroupBytes * groups * args.stride_w;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
    for (int pixel = 0; pixel < kPixels; ++pixel) sums[v][pixel] = load(&block[v / 2].bias[v % 2 * 8]);
  }
#pragma GCC unroll 5
  for (std::size_t j = 0; j < width; ++j, column += tap_bytes) {
#pragma GCC unroll 3
    for (std::size_t group = 0; group < groups; ++group) {
#pragma GCC unroll 2
      for (std::size_t set = 0; set < sets; ++set, w += kGroupBytes) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          const I weights = load(w + (v * 32));
#pragma GCC unroll 2
          for (int pixel = 0; pixel < kPixels; ++pixel) {
            const I q = load(column + (pixel * step_bytes) + (group * kGroupBytes) + (v * 32));
            sums[v][pixel] = Dot::add(sums[v][pixel], q, weights);
          }
        }
      }
    }
  }
}

/// One output row of kVectors * 8 channels, two pixels at a time.
template <class Dot, RequantMode kMode, int kWidth, int kGroups, int kSets, int kVectors>
inline void depthwise_row(const DepthwiseArgs& args, const StageVectors& stage, const std::byte* weights,
                          const RequantBlock* block, std::uint8_t* out, std::size_t count) {
  const std::size_t step_bytes = kVectors * 32 * args.group_count * args.stride_w;
  const std::byte* column = args.strip;
  std::size_t x = 0;
  for (; x + 2 <= args.out_w; x += 2, column += 2 * step_bytes, out += 2 * args.channel_count) {
    I sums[kVectors][2];
    depthwise_sums<Dot, kWidth, kGroups, kSets, kVectors, 2>(args, column, weights, block, sums);
    finish_tile<kMode, 2>(sums, block, stage, out, args.channel_count, count);
  }
  if (x < args.out_w) {
    I sums[kVectors][1];
    depthwise_sums<Dot, kWidth, kGroups, kSets, kVectors, 1>(args, column, weights, block, sums);
    finish_tile<kMode, 1>(sums, block, stage, out, args.channel_count, count);
  }
}

template <class Dot, RequantMode kMode, int kVectors>
inline void depthwise_row_any(const DepthwiseArgs& args, const StageVectors& stage, const std::byte* weights,
                              const RequantBlock* block, std::uint8_t* out, std::size_t count) {
  constexpr int kGroups3 = (3 + Dot::kSlots - 1) / Dot::kSlots;
  constexpr int kGroups5 = (5 + Dot::kSlots - 1) / Dot::kSlots;
  if (block->set_count == 1 && args.kernel_w == 3 && args.group_count == kGroups3) {
    depthwise_row<Dot, kMode, 3, kGroups3, 1, kVectors>(args, stage, weights, block, out, count);
  } else if (block->set_count == 1 && args.kernel_w == 5 && args.group_count == kGroups5) {
    depthwise_row<Dot, kMode, 5, kGroups5, 1, kVectors>(args, stage, weights, block, out, count);
  } else {
    depthwise_row<Dot, kMode, 0, 0, 0, kVectors>(args, stage, weights, block, out, count);
  }
}

/// All variants of one block of channels.
template <class Dot, int kVectors>
void depthwise_block(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot, std::size_t channel) {
  build_strip<Dot, kVectors * 8>(args, dot, channel);
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const std::size_t tap_bytes = args.group_count * 4;  // of one channel and set
  const std::byte* weights =
      args.weights + (channel * args.packed_variants * args.kernel_w * tap_bytes * args.packed_sets);
  const std::size_t left = args.channel_count - channel;
  for (std::size_t variant = 0; variant < args.variant_count; ++variant) {
    std::uint8_t* out = args.out_rows[variant] + channel;
    switch (block->floating != 0 ? RequantMode::floating : args.stage.mode) {
      case RequantMode::floating:
        depthwise_row_any<Dot, RequantMode::floating, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::rectified:
        depthwise_row_any<Dot, RequantMode::rectified, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::symmetric:
        depthwise_row_any<Dot, RequantMode::symmetric, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::general:
        depthwise_row_any<Dot, RequantMode::general, kVectors>(args, stage, weights, block, out, left);
        break;
    }
    weights += kVectors * 8 * args.kernel_w * tap_bytes * static_cast<std::size_t>(block->set_count);
  }
}

template <class Dot>
void depthwise(const DepthwiseArgs& args) {
  const StageVectors stage(args.stage);
  const Dot dot(args.flip, args.zero_point);
  std::size_t channel = 0;
  if constexpr (Dot::kDepthwiseBlock == 32) {
    for (; channel + 16 < args.channel_count; channel += 32) depthwise_block<Dot, 4>(args, stage, dot, channel);
  }
  for (; channel < args.channel_count; channel += 16) depthwise_block<Dot, 2>(args, stage, dot, channel);
}

/// Eight sums of table values.
inline I table_sum_8(const TableSumArgs& args, const std::uint8_t* a, const std::uint8_t* b) {
  const I index_a = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a)));
  const I index_b = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b)));
  return _mm256_add_epi32(_mm256_i32gather_epi32(args.table_a, index_a, 4),
                          _mm256_i32gather_epi32(args.table_b, index_b, 4));
}

template <RequantMode kMode>
inline void table_sum_32(const TableSumArgs& args, const StageVectors& stage, const std::uint8_t* a,
                         const std::uint8_t* b, std::uint8_t* out) {
  I sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sums[i] = table_sum_8(args, a + (8 * i), b + (8 * i));
  scale_sums<kMode, 4>(sums, args.requant, 0);
  const I bytes = to_bytes<kMode>(_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]), stage);
  store(out, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

template <RequantMode kMode>
inline void table_sum_all(const TableSumArgs& args) {
  const StageVectors stage(args.stage);
  std::size_t i = 0;
  for (; i + 32 <= args.count; i += 32) table_sum_32<kMode>(args, stage, args.a + i, args.b + i, args.out + i);
  if (i == args.count) return;
  alignas(32) std::uint8_t rest[3][32] = {};
  std::memcpy(rest[0], args.a + i, args.count - i);
  std::memcpy(rest[1], args.b + i, args.count - i);
  table_sum_32<kMode>(args, stage, rest[0], rest[1], rest[2]);
  std::memcpy(args.out + i, rest[2], args.count - i);
}

inline void table_sum(const TableSumArgs& args) {
  switch (args.stage.mode) {
    case RequantMode::floating: return;  // no such stage
    case RequantMode::rectified: table_sum_all<RequantMode::rectified>(args); return;
    case RequantMode::symmetric: table_sum_all<RequantMode::symmetric>(args); return;
    case RequantMode::general: table_sum_all<RequantMode::general>(args); return;
  }
}

/// ceil(n * step + start) for four n; `doubt` collects those too near to an integer.
inline __m128i step_position(__m256d n, const FloatProof& proof, __m256d& doubt) {
  const __m256d position = _mm256_fmadd_pd(n, _mm256_set1_pd(proof.step), _mm256_set1_pd(proof.start));
  const __m256d distance =
      _mm256_sub_pd(position, _mm256_round_pd(position, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  const __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), distance);
  // Positions stay below 2^21: three roundings of 2^-33 each, with room to spare.
  doubt = _mm256_or_pd(doubt, _mm256_cmp_pd(magnitude, _mm256_set1_pd(0x1p-27), _CMP_LT_OQ));
  return _mm256_cvttpd_epi32(_mm256_ceil_pd(position));
}

inline bool float_is_exact(const FloatProof& proof) {
  const __m256 scale = _mm256_set1_ps(proof.scale);
  const __m256 offset = _mm256_set1_ps(proof.offset);
  const auto value = [&](I x) { return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(x), scale, offset)); };
  const I last = _mm256_set1_epi32(proof.step_count);
  const I one = _mm256_set1_epi32(1);
  __m256d doubt = _mm256_setzero_pd();
  I wrong = _mm256_setzero_si256();
  for (std::int32_t first = 1; first <= proof.step_count; first += 8) {
    I n = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    n = _mm256_min_epi32(n, last);
    const __m128i low = step_position(_mm256_cvtepi32_pd(_mm256_castsi256_si128(n)), proof, doubt);
    const __m128i high = step_position(_mm256_cvtepi32_pd(_mm256_extracti128_si256(n, 1)), proof, doubt);
    const I x = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    const I wanted = _mm256_add_epi32(n, _mm256_set1_epi32(proof.zero_point));
    wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(wanted, value(x)));
    wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(value(_mm256_sub_epi32(x, one)), _mm256_sub_epi32(wanted, one)));
    if (_mm256_testz_si256(wrong, wrong) == 0) return false;
  }
  return _mm256_movemask_pd(doubt) == 0;
}

/// 16 channels as 8 + 8: the low halves of both 128-bit lanes, so that unpacks within lanes keep the channels together.
inline I load_split(const std::uint8_t* from) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
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
  isa.table_sum = table_sum;
  isa.float_is_exact = float_is_exact;
  return isa;
}

template <class Dot>
Isa make_isa(Level level) {
  Isa isa = make_base_isa(level, Dot::kElementBytes, Dot::kDepthwiseBlock);
  isa.gemm = gemm<Dot>;
  isa.depthwise = depthwise<Dot>;
  isa.convert = Dot::convert;
  return isa;
}

}  // namespace
}  // namespace wayside::accel::cpu
