// SPDX-License-Identifier: Apache-2.0
// AVX512-VNNI: the same weights and strips as AVX-VNNI, sixteen sums to a register and tiles of up to 6 x 64.
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

inline void store_first(std::uint8_t* to, Z bytes, std::size_t count) {
  _mm512_mask_storeu_epi8(to, count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1, bytes);
}
inline void store_first(std::uint8_t* to, __m256i bytes, std::size_t count) {
  _mm256_mask_storeu_epi8(to, count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1, bytes);
}
inline void store_first(std::uint8_t* to, __m128i bytes, std::size_t count) {
  _mm_mask_storeu_epi8(to, static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1), bytes);
}

/// kRows pixels of kVectors * 16 channels in natural order, `count` of them stored.
template <RequantMode kMode, int kVectors, int kRows>
inline void finish_wide(Z (&sums)[kVectors][kRows], const RequantBlock* block, const WideStage& stage,
                        std::uint8_t* out, std::size_t stride, std::size_t count) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) scale_wide<kMode, kRows>(sums[v], block + v);
  if constexpr (kVectors >= 3) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const Z bytes = to_bytes<kMode>(sums[0][r], sums[1][r], sums[2][r], sums[kVectors - 1][r], stage);
      store_first(out + (r * stride), in_vector_order(bytes), count);
    }
  } else if constexpr (kVectors == 2) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; r += 2) {
      const int next = r + 1 < kRows ? r + 1 : r;
      const Z bytes = in_vector_order(to_bytes<kMode>(sums[0][r], sums[1][r], sums[0][next], sums[1][next], stage));
      store_first(out + (r * stride), _mm512_castsi512_si256(bytes), count);
      store_first(out + (next * stride), _mm512_extracti64x4_epi64(bytes, 1), count);
    }
  } else {
#pragma GCC unroll 3
    for (int r = 0; r < kRows; r += 4) {
      const auto at = [&](int i) { return r + i < kRows ? r + i : kRows - 1; };
      const Z bytes =
          in_vector_order(to_bytes<kMode>(sums[0][at(0)], sums[0][at(1)], sums[0][at(2)], sums[0][at(3)], stage));
      store_first(out + (at(0) * stride), _mm512_castsi512_si128(bytes), count);
      store_first(out + (at(1) * stride), _mm512_extracti32x4_epi32(bytes, 1), count);
      store_first(out + (at(2) * stride), _mm512_extracti32x4_epi32(bytes, 2), count);
      store_first(out + (at(3) * stride), _mm512_extracti32x4_epi32(bytes, 3), count);
    }
  }
}

template <int kVectors, int kRows>
inline void tile_wide(const GemmArgs& args, const WideStage& stage, std::size_t row, std::size_t channel) {
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::size_t block_bytes = k_bytes * kBlockLanes;
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const std::byte* weights = args.weights + (channel / kBlockLanes * block_bytes);
  const std::uint8_t* rows[kRows];
  Z sums[kVectors][kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.rows[row + r];
    const Z offset = _mm512_set1_epi32(args.row_offsets != nullptr ? args.row_offsets[row + r] : 0);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[v][r] = _mm512_add_epi32(load_wide(block[v].bias.data()), offset);
  }
  for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
    Z w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = load_wide(weights + (v * block_bytes));
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      std::int32_t four;
      std::memcpy(&four, rows[r] + k, sizeof four);
      const Z a = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[v][r] = _mm512_dpbusd_epi32(sums[v][r], a, w[v]);
    }
  }
  std::uint8_t* out = args.out + (row * args.out_stride) + channel;
  const std::size_t left = args.channel_count - channel;
  bool floating = true;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) floating = floating && block[v].floating != 0;
  switch (floating ? RequantMode::floating : args.stage.mode) {
    case RequantMode::floating:
      finish_wide<RequantMode::floating>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::rectified:
      finish_wide<RequantMode::rectified>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::symmetric:
      finish_wide<RequantMode::symmetric>(sums, block, stage, out, args.out_stride, left);
      return;
    case RequantMode::general:
      finish_wide<RequantMode::general>(sums, block, stage, out, args.out_stride, left);
      return;
  }
}

/// Rows are shared out evenly among tiles of at most kMaxRows.
template <int kVectors, int kMaxRows, int kRows = kMaxRows>
inline void tile_rows(const GemmArgs& args, const WideStage& stage, std::size_t row, std::size_t channel,
                      std::size_t count) {
  if constexpr (kRows > 1) {
    if (count < static_cast<std::size_t>(kRows)) {
      tile_rows<kVectors, kMaxRows, kRows - 1>(args, stage, row, channel, count);
      return;
    }
  }
  tile_wide<kVectors, kRows>(args, stage, row, channel);
}

template <int kVectors, int kMaxRows>
void column_of_tiles(const GemmArgs& args, const WideStage& stage, std::size_t channel) {
  std::size_t row = 0;
  for (std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows; tiles > 0; --tiles) {
    const std::size_t count = (args.row_count - row + tiles - 1) / tiles;
    tile_rows<kVectors, kMaxRows>(args, stage, row, channel, count);
    row += count;
  }
}

void gemm_wide(const GemmArgs& args) {
  const WideStage stage(args.stage);
  std::size_t channel = 0;
  while (channel < args.channel_count) {
    const std::size_t blocks = (args.channel_count - channel + kBlockLanes - 1) / kBlockLanes;
    if (blocks >= 4) {
      column_of_tiles<4, 6>(args, stage, channel);
      channel += 4 * kBlockLanes;
    } else if (blocks == 3) {
      column_of_tiles<3, 8>(args, stage, channel);
      channel += 3 * kBlockLanes;
    } else if (blocks == 2) {
      column_of_tiles<2, 12>(args, stage, channel);
      channel += 2 * kBlockLanes;
    } else {
      column_of_tiles<1, 12>(args, stage, channel);
      channel += kBlockLanes;
    }
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

/// One output row, two pixels at a time. kWidth, kGroups, kSets: 0 = taken from args.
template <RequantMode kMode, int kWidth, int kGroups, int kSets, int kVectors>
inline void depthwise_row_wide(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                               const RequantBlock* block, std::uint8_t* out, std::size_t count) {
  const std::size_t width = kWidth != 0 ? kWidth : args.kernel_w;
  const std::size_t groups = kGroups != 0 ? kGroups : args.group_count;
  const std::size_t sets = kSets != 0 ? kSets : static_cast<std::size_t>(block->set_count);
  constexpr std::size_t kGroupBytes = kVectors * 64;
  const std::size_t tap_bytes = kGroupBytes * groups * args.dilation_w;
  const std::size_t step_bytes = kGroupBytes * groups * args.stride_w;
  const std::byte* column = args.strip;
  for (std::size_t x = 0; x < args.out_w; x += 2, column += 2 * step_bytes) {
    const std::size_t next = x + 1 < args.out_w ? 1 : 0;
    const std::byte* a = column;
    const std::byte* b = column + (next * step_bytes);
    const std::byte* w = weights;
    Z sums[kVectors][2];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[v][0] = sums[v][1] = load_wide(block[v].bias.data());
#pragma GCC unroll 5
    for (std::size_t j = 0; j < width; ++j, a += tap_bytes, b += tap_bytes) {
#pragma GCC unroll 2
      for (std::size_t group = 0; group < groups; ++group) {
#pragma GCC unroll 2
        for (std::size_t set = 0; set < sets; ++set, w += kGroupBytes) {
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) {
            const std::size_t at = (group * kGroupBytes) + (v * 64);
            const Z weight = load_wide(w + (v * 64));
            sums[v][0] = _mm512_dpbusd_epi32(sums[v][0], load_wide(a + at), weight);
            sums[v][1] = _mm512_dpbusd_epi32(sums[v][1], load_wide(b + at), weight);
          }
        }
      }
    }
    std::uint8_t* to = out + (x * args.channel_count);
    finish_pixels<kMode, kVectors>(sums, block, stage, to, to + (next * args.channel_count), count);
  }
}

template <RequantMode kMode, int kVectors>
inline void depthwise_row_wide_any(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                                   const RequantBlock* block, std::uint8_t* out, std::size_t count) {
  if (block->set_count == 1 && args.kernel_w == 3 && args.group_count == 1) {
    depthwise_row_wide<kMode, 3, 1, 1, kVectors>(args, stage, weights, block, out, count);
  } else if (block->set_count == 1 && args.kernel_w == 5 && args.group_count == 2) {
    depthwise_row_wide<kMode, 5, 2, 1, kVectors>(args, stage, weights, block, out, count);
  } else {
    depthwise_row_wide<kMode, 0, 0, 0, kVectors>(args, stage, weights, block, out, count);
  }
}

template <int kVectors>
void depthwise_block_wide(const DepthwiseArgs& args, const WideStage& stage, const VnniBytes& bytes,
                          std::size_t channel) {
  build_strip<VnniBytes, kVectors * kBlockLanes>(args, bytes, channel);
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const std::size_t tap_bytes = args.group_count * 4;  // of one channel and set
  const std::byte* weights =
      args.weights + (channel * args.packed_variants * args.kernel_w * tap_bytes * args.packed_sets);
  const std::size_t left = args.channel_count - channel;
  for (std::size_t variant = 0; variant < args.variant_count; ++variant) {
    std::uint8_t* out = args.out_rows[variant] + channel;
    switch (block->floating != 0 ? RequantMode::floating : args.stage.mode) {
      case RequantMode::floating:
        depthwise_row_wide_any<RequantMode::floating, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::rectified:
        depthwise_row_wide_any<RequantMode::rectified, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::symmetric:
        depthwise_row_wide_any<RequantMode::symmetric, kVectors>(args, stage, weights, block, out, left);
        break;
      case RequantMode::general:
        depthwise_row_wide_any<RequantMode::general, kVectors>(args, stage, weights, block, out, left);
        break;
    }
    weights += kVectors * kBlockLanes * args.kernel_w * tap_bytes * static_cast<std::size_t>(block->set_count);
  }
}

void depthwise_wide(const DepthwiseArgs& args) {
  const WideStage stage(args.stage);
  const VnniBytes bytes(args.flip, args.zero_point);
  std::size_t channel = 0;
  for (; channel + kBlockLanes < args.channel_count; channel += kStripLanes) {
    depthwise_block_wide<2>(args, stage, bytes, channel);
  }
  for (; channel < args.channel_count; channel += kBlockLanes) depthwise_block_wide<1>(args, stage, bytes, channel);
}

}  // namespace

const Isa& avx512_vnni_isa() {
  static const Isa isa = [] {
    Isa made = make_base_isa(Level::avx512_vnni, VnniBytes::kElementBytes, VnniBytes::kDepthwiseBlock);
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) made.gemm_channel[lane] = static_cast<std::uint8_t>(lane);
    made.gemm = gemm_wide;
    made.depthwise = depthwise_wide;
    made.convert = VnniBytes::convert;
    made.row_sums = row_sums;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
