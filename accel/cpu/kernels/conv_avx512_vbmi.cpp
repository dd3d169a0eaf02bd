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
  [[gnu::always_inline]] void read(Z (&column)[kVectors], const std::uint8_t* const* rows, std::size_t offset) const {
    if constexpr (kVectors == 2) {
      const auto row = [&](std::size_t slot) {
        const std::uint8_t* from = rows[slot] + offset;
        return count == kLanes ? load(from) : _mm256_maskz_loadu_epi8((__mmask32{1} << count) - 1, from);
      };
      const Z first = _mm512_inserti64x4(_mm512_castsi256_si512(row(0)), row(1), 1);
      const Z second = _mm512_inserti64x4(_mm512_castsi256_si512(row(2)), row(3), 1);
      column[0] = _mm512_xor_si512(_mm512_permutex2var_epi8(first, order[0], second), flip);
      column[1] = _mm512_xor_si512(_mm512_permutex2var_epi8(first, order[1], second), flip);
    } else {
      const auto row = [&](std::size_t slot) {
        const std::uint8_t* from = rows[slot] + offset;
        return count == kLanes ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))
                               : _mm_maskz_loadu_epi8(static_cast<__mmask16>((1U << count) - 1), from);
      };
      const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(row(0)), row(1), 1);
      const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(row(2)), row(3), 1);
      const Z both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
      column[0] = _mm512_xor_si512(_mm512_permutexvar_epi8(order[0], both), flip);
    }
  }
};

/// As rolling_rows of x86_ymm_rolling.h, with the weights in registers.
template <RequantMode kMode, int kSets, int kStride, int kVariants, int kVectors>
void rolling_rows_wide(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                       const RequantBlock* block, std::size_t channel) {
  const ColumnReader<kVectors> reader(args.flip, args.channel_count - channel);
  const Z padding = _mm512_set1_epi8(static_cast<char>(args.zero_byte ^ args.flip));
  Z w[kVariants][3][kVectors];  // the first set
#pragma GCC unroll 2
  for (int variant = 0; variant < kVariants; ++variant) {
#pragma GCC unroll 3
    for (int tap = 0; tap < 3; ++tap) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        w[variant][tap][v] = load_wide(weights + (((((variant * 3) + tap) * kSets * kVectors) + v) * 64));
      }
    }
  }
  const std::uint8_t* rows[4];
  for (std::size_t slot = 0; slot < 4; ++slot) rows[slot] = args.rows[slot] + channel;
  const std::size_t step = args.channel_count, pad_left = args.pad_left, picture_columns = args.picture_columns;
  const auto column_at = [&](std::size_t index, Z(&column)[kVectors]) __attribute__((always_inline)) {
    const std::size_t x = index - pad_left;  // wraps around left of the picture
    if (x < picture_columns) [[likely]] {
      reader.read(column, rows, x * step);
    } else {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) column[v] = padding;
    }
  };
  const auto add = [&](Z sum, Z bytes, int variant, int tap, int v) __attribute__((always_inline)) {
    sum = _mm512_dpbusd_epi32(sum, bytes, w[variant][tap][v]);
    if constexpr (kSets == 2) {
      const int index = (((((variant * 3) + tap) * kSets) + 1) * kVectors) + v;
      sum = _mm512_dpbusd_epi32(sum, bytes, load_wide(weights + (index * 64)));
    }
    return sum;
  };
  std::uint8_t* out = args.out_rows[0] + channel;
  const std::size_t next_row = kVariants == 2 ? static_cast<std::size_t>(args.out_rows[1] - args.out_rows[0]) : 0;
  const std::size_t count = step - channel;
  Z column[kVectors], first[kVectors][kVariants] = {}, second[kVectors][kVariants] = {}, done[kVectors][2];
  const std::size_t columns = (args.out_w - 1) * kStride + 3;
  // A column in two steps for stride 2: an odd one, then the even one that completes a pixel.
  for (std::size_t index = 0; index < columns; ++index) {
    if (kStride == 2 && index > 0) {
      column_at(index++, column);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
        for (int r = 0; r < kVariants; ++r) second[v][r] = add(first[v][r], column[v], r, 1, v);
      }
    }
    column_at(index, column);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
      for (int r = 0; r < kVariants; ++r) {
        done[v][r] = add(second[v][r], column[v], r, 2, v);
        if constexpr (kStride == 1) second[v][r] = add(first[v][r], column[v], r, 1, v);
        first[v][r] = add(load_wide(block[v].bias.data()), column[v], r, 0, v);
      }
      if constexpr (kVariants == 1) done[v][1] = done[v][0];
    }
    if (index < 2) continue;
    finish_pixels<kMode, kVectors>(done, block, stage, out, out + next_row, count);
    out += step;
  }
}

template <RequantMode kMode, int kSets, int kVectors>
void rolling_rows_wide_of(const DepthwiseArgs& args, const WideStage& stage, const std::byte* weights,
                          const RequantBlock* block, std::size_t channel) {
  const bool two = args.variant_count == 2;
  if (args.stride_w == 1) {
    if (two) {
      rolling_rows_wide<kMode, kSets, 1, 2, kVectors>(args, stage, weights, block, channel);
    } else {
      rolling_rows_wide<kMode, kSets, 1, 1, kVectors>(args, stage, weights, block, channel);
    }
  } else if (two) {
    rolling_rows_wide<kMode, kSets, 2, 2, kVectors>(args, stage, weights, block, channel);
  } else {
    rolling_rows_wide<kMode, kSets, 2, 1, kVectors>(args, stage, weights, block, channel);
  }
}

template <int kVectors>
void block_vbmi(const DepthwiseArgs& args, const WideStage& stage, const VnniBytes& bytes, std::size_t channel) {
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const RequantMode mode = block->mode;
  // As rolling_block of x86_ymm_rolling.h.
  if (!rolls<VnniBytes>(args) || (block->set_count == 2 && mode != RequantMode::floating)) {
    depthwise_block_wide<kVectors>(args, stage, bytes, channel);
    return;
  }
  const std::byte* weights = args.weights + (channel * args.packed_variants * args.kernel_w * 4 * args.packed_sets);
  if (block->set_count == 2) {
    rolling_rows_wide_of<RequantMode::floating, 2, kVectors>(args, stage, weights, block, channel);
    return;
  }
  switch (mode) {
    case RequantMode::floating_signed:
    case RequantMode::precise_signed: return;  // no such depthwise block
    case RequantMode::precise:
      rolling_rows_wide_of<RequantMode::precise, 1, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::floating:
      rolling_rows_wide_of<RequantMode::floating, 1, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::rectified:
      rolling_rows_wide_of<RequantMode::rectified, 1, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::symmetric:
      rolling_rows_wide_of<RequantMode::symmetric, 1, kVectors>(args, stage, weights, block, channel);
      return;
    case RequantMode::general:
      rolling_rows_wide_of<RequantMode::general, 1, kVectors>(args, stage, weights, block, channel);
      return;
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

/// Seven columns at a time, as long as 32 bytes of a row may be read.
std::size_t rgb_columns_vbmi(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count,
                             std::uint8_t flip) {
  constexpr std::size_t kColumns = 7, kReadable = 11;
  struct Order {
    std::uint8_t index[64];
  };
  alignas(64) static constexpr Order kOrder = [] {
    Order made{};
    for (std::size_t at = 0; at < kColumns * 9; ++at) {
      const std::size_t row = at % 9 / 3;
      made.index[at] = static_cast<std::uint8_t>((row * 32) + (at / 9 * 3) + (at % 3));
    }
    return made;
  }();
  const Z order = load_wide(kOrder.index), flips = _mm512_set1_epi8(static_cast<char>(flip));
  std::size_t done = 0;
  for (; done + kReadable <= count; done += kColumns, to += kColumns * 9) {
    const Z first =
        _mm512_inserti64x4(_mm512_castsi256_si512(load(rows[0] + (3 * done))), load(rows[1] + (3 * done)), 1);
    const Z second = _mm512_castsi256_si512(load(rows[2] + (3 * done)));
    const Z columns = _mm512_permutex2var_epi8(first, order, second);
    _mm512_storeu_si512(to, _mm512_xor_si512(columns, flips));
  }
  return done;
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
