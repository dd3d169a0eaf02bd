// SPDX-License-Identifier: Apache-2.0
// What AVX512-VNNI gains where byte permutations are there too (VBMI: Ice Lake, Zen 4 and later): 3x3 depthwise rows
// straight from the picture, and tables of bytes.
#include "accel/cpu/kernels/x86_zmm_depthwise.h"

namespace wayside::accel::cpu {
namespace {

/// Columns of 3x3 windows of 32 (kVectors = 2) or 16 channels: byte 4i + s of the result is slot s of lane i's channel.
template <int kVectors>
struct ColumnReader {
  static constexpr std::size_t kLanes = kVectors * kBlockLanes;
  Z order[kVectors], flip;
  std::size_t count;  ///< channels that there are, at most kLanes

  ColumnReader(std::uint8_t flip_byte, std::size_t channels)
      : flip(_mm512_set1_epi8(static_cast<char>(flip_byte))), count(channels < kLanes ? channels : kLanes) {
    alignas(64) std::uint8_t index[kVectors][64];
    for (std::size_t v = 0; v < kVectors; ++v) {
      for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
        const std::size_t channel = channel_of(v, lane);
        for (std::size_t slot = 0; slot < 4; ++slot) {
          index[v][(4 * lane) + slot] = static_cast<std::uint8_t>((slot * kLanes) + channel);
        }
      }
      order[v] = load_wide(index[v]);
    }
  }
  /// The lane orders of x86_isa.h: two 256-bit vectors to a register.
  static constexpr std::size_t channel_of(std::size_t vector, std::size_t lane) {
    const std::size_t half_vector = (2 * vector) + (lane / 8);
    return (lane % 8 / 4 * (kLanes / 2)) + (half_vector * 4) + (lane % 4);
  }
  /// rows[s] + offset: slot s.
  void read(Z (&column)[kVectors], const std::uint8_t* const* rows, std::size_t offset) const {
    if constexpr (kVectors == 2) {
      const auto row = [&](std::size_t slot) {
        return _mm256_maskz_loadu_epi8(count == 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1, rows[slot] + offset);
      };
      const Z first = _mm512_inserti64x4(_mm512_castsi256_si512(row(0)), row(1), 1);
      const Z second = _mm512_inserti64x4(_mm512_castsi256_si512(row(2)), row(3), 1);
      column[0] = _mm512_xor_si512(_mm512_permutex2var_epi8(first, order[0], second), flip);
      column[1] = _mm512_xor_si512(_mm512_permutex2var_epi8(first, order[1], second), flip);
    } else {
      const auto row = [&](std::size_t slot) {
        return _mm_maskz_loadu_epi8(static_cast<__mmask16>((1U << count) - 1), rows[slot] + offset);
      };
      const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(row(0)), row(1), 1);
      const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(row(2)), row(3), 1);
      const Z both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
      column[0] = _mm512_xor_si512(_mm512_permutexvar_epi8(order[0], both), flip);
    }
  }
};

/// The rows of one block of channels, column by column: each column is read once and added to the (up to) three pixels
/// of each row that it touches. `pending[0]` still lacks this column, `pending[1]` this and the next.
template <RequantMode kMode, int kStride, int kVariants, int kVectors>
void rolling_rows_wide(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                       const RequantBlock* block, std::size_t channel) {
  const ColumnReader<kVectors> reader(args.flip, args.channel_count - channel);
  const Z padding = _mm512_set1_epi8(static_cast<char>(args.zero_byte ^ args.flip));
  Z w[kVariants][3][kVectors];
#pragma GCC unroll 2
  for (int variant = 0; variant < kVariants; ++variant) {
#pragma GCC unroll 3
    for (int tap = 0; tap < 3; ++tap) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        w[variant][tap][v] = load_wide(weights + ((((variant * 3) + tap) * kVectors + v) * 64));
      }
    }
  }
  const auto column_at = [&](std::size_t index, Z(&column)[kVectors]) {
    const std::size_t x = index - args.pad_left;  // wraps around left of the picture
    if (x < args.picture_columns) {
      reader.read(column, args.rows, (x * args.channel_count) + channel);
    } else {
      for (auto& vector : column) vector = padding;
    }
  };
  const auto start = [&](Z(&sums)[kVectors][2], const Z(&column)[kVectors]) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) {
        sums[v][variant] = _mm512_dpbusd_epi32(load_wide(block[v].bias.data()), column[v], w[variant][0][v]);
      }
    }
  };
  const auto add = [&](Z(&to)[kVectors][2], const Z(&sums)[kVectors][2], const Z(&column)[kVectors], int tap) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) {
        to[v][variant] = _mm512_dpbusd_epi32(sums[v][variant], column[v], w[variant][tap][v]);
      }
    }
  };
  std::uint8_t* out = args.out_rows[0] + channel;
  const std::size_t next_row = kVariants == 2 ? static_cast<std::size_t>(args.out_rows[1] - args.out_rows[0]) : 0;
  const std::size_t count = args.channel_count - channel;
  Z column[kVectors], first[kVectors][2], second[kVectors][2], done[kVectors][2];
  column_at(0, column);
  start(first, column);
  if constexpr (kStride == 1) {
    column_at(1, column);
    add(second, first, column, 1);
    start(first, column);
  }
  for (std::size_t x = 0; x < args.out_w; ++x, out += args.channel_count) {
    if constexpr (kStride == 1) {
      column_at(x + 2, column);
      add(done, second, column, 2);
      add(second, first, column, 1);
    } else {
      column_at((2 * x) + 1, column);
      add(second, first, column, 1);
      column_at((2 * x) + 2, column);
      add(done, second, column, 2);
    }
    start(first, column);
    if constexpr (kVariants == 1) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) done[v][1] = done[v][0];
    }
    finish_pixels<kMode, kVectors>(done, block, stage, out, out + next_row, count);
  }
}

template <int kStride, int kVariants, int kVectors>
void rolling_rows_wide_any(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                           const RequantBlock* block, std::size_t channel) {
  switch (block->floating != 0 ? RequantMode::floating : args.stage.mode) {
    case RequantMode::floating:
      rolling_rows_wide<RequantMode::floating, kStride, kVariants, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::rectified:
      rolling_rows_wide<RequantMode::rectified, kStride, kVariants, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::symmetric:
      rolling_rows_wide<RequantMode::symmetric, kStride, kVariants, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::general:
      rolling_rows_wide<RequantMode::general, kStride, kVariants, kVectors>(args, stage, weights, block, channel);
      return;
  }
}

template <int kVectors>
void block_vbmi(const DepthwiseArgs& args, const WideStage& stage, const VnniBytes& bytes, std::size_t channel) {
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  if (block->set_count != 1 || !rolls<VnniBytes>(args)) {
    depthwise_block_wide<kVectors>(args, stage, bytes, channel);
    return;
  }
  const std::byte* weights = args.weights + (channel * args.packed_variants * args.kernel_w * 4 * args.packed_sets);
  if (args.stride_w == 1 && args.variant_count == 2) {
    rolling_rows_wide_any<1, 2, kVectors>(args, stage, weights, block, channel);
  } else if (args.stride_w == 1) {
    rolling_rows_wide_any<1, 1, kVectors>(args, stage, weights, block, channel);
  } else if (args.variant_count == 2) {
    rolling_rows_wide_any<2, 2, kVectors>(args, stage, weights, block, channel);
  } else {
    rolling_rows_wide_any<2, 1, kVectors>(args, stage, weights, block, channel);
  }
}

}  // namespace

void depthwise_vbmi(const DepthwiseArgs& args) {
  const WideStage stage(args.stage);
  const VnniBytes bytes(args.flip, args.zero_point);
  std::size_t channel = 0;
  for (; channel + kBlockLanes < args.channel_count; channel += kStripLanes) {
    block_vbmi<2>(args, stage, bytes, channel);
  }
  for (; channel < args.channel_count; channel += kBlockLanes) block_vbmi<1>(args, stage, bytes, channel);
}

/// Two permutations of 128 bytes each, chosen by the top bit.
void replace_bytes_vbmi(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table) {
  const Z first = load_wide(table), second = load_wide(table + 64);
  const Z third = load_wide(table + 128), fourth = load_wide(table + 192);
  for (std::size_t i = 0; i < count; i += 64) {
    const __mmask64 mask = count - i >= 64 ? ~__mmask64{0} : (__mmask64{1} << (count - i)) - 1;
    const Z index = _mm512_maskz_loadu_epi8(mask, bytes + i);
    const Z low = _mm512_permutex2var_epi8(first, index, second);
    const Z high = _mm512_permutex2var_epi8(third, index, fourth);
    _mm512_mask_storeu_epi8(bytes + i, mask, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
}

}  // namespace wayside::accel::cpu
