// SPDX-License-Identifier: Apache-2.0
// 3x3 depthwise rows for 256-bit x86 straight from the picture: each column of a window is interleaved once, in
// registers, and added to the (up to) three pixels of each output row that it touches.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_ymm.h"

namespace wayside::accel::cpu {
namespace {

/// The 16 channels of a column that are worked on together: a block of 16, or one half of the four vectors of a block
/// of 32.
enum class Part : std::uint8_t { whole, low_half, high_half };

template <class Dot>
inline constexpr int kGroupsOf3 = (3 + static_cast<int>(Dot::kSlots) - 1) / static_cast<int>(Dot::kSlots);

/// True for the windows that roll: 3 columns, stride 1 or 2, at most two output rows from the same input rows.
template <class Dot>
inline bool rolls(const DepthwiseArgs& args) {
  return args.kernel_w == 3 && args.group_count == kGroupsOf3<Dot> && args.dilation_w == 1 && args.stride_w <= 2 &&
         args.variant_count <= 2;
}

template <int kGroups>
struct Column {
  I groups[kGroups][2];
};

/// Two rows of 16 channels of a block of 32: {0-3, 16-19}, {4-7, 20-23} go to bytes 0-7 and 16-23 of the block.
template <RequantMode kMode, int kRows>
inline void finish_half(I (&sums)[2][kRows], const RequantBlock* block, const StageVectors& stage, std::uint8_t* out,
                        std::size_t stride, std::size_t count) {
  scale_sums<kMode, kRows>(sums[0], block, 0);
  scale_sums<kMode, kRows>(sums[1], block, 8);
  const I bytes = to_bytes<kMode>(_mm256_packs_epi32(sums[0][0], sums[1][0]),
                                  _mm256_packs_epi32(sums[0][kRows - 1], sums[1][kRows - 1]), stage);
  const __m128i low = _mm256_castsi256_si128(bytes);
  const __m128i high = _mm256_extracti128_si256(bytes, 1);
  const std::size_t low_count = count < 8 ? count : 8;
  const std::size_t high_count = count <= 16 ? 0 : (count < 24 ? count - 16 : 8);
  store_some(out, low, low_count);
  store_some(out + 16, high, high_count);
  if constexpr (kRows == 2) {
    store_some(out + stride, _mm_unpackhi_epi64(low, low), low_count);
    store_some(out + stride + 16, _mm_unpackhi_epi64(high, high), high_count);
  }
}

template <class Dot, int kVariants>
struct RollingSums {
  I sums[2][kVariants];

  /// this = from + column * weights of one tap; weights: [variant][tap][group][block vector].
  template <int kVectors, class From>
  void add(From from, const Column<kGroupsOf3<Dot>>& column, const std::byte* weights, int tap) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) {
        I sum = from(v, variant);
#pragma GCC unroll 2
        for (int group = 0; group < kGroupsOf3<Dot>; ++group) {
          const int index = ((((variant * 3) + tap) * kGroupsOf3<Dot>)+group) * kVectors + v;
          sum = Dot::add(sum, column.groups[group][v], load(weights + (index * 32)));
        }
        sums[v][variant] = sum;
      }
    }
  }
};

/// `weights` and `block` are those of the part.
template <class Dot, RequantMode kMode, Part kPart, int kStride, int kVariants>
void rolling_rows(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot, const std::byte* weights,
                  const RequantBlock* block, std::size_t channel) {
  constexpr int kVectors = kPart == Part::whole ? 2 : 4;
  constexpr std::size_t kLanes = kVectors * 8;
  alignas(32) std::uint8_t padding[32];
  std::memset(padding, args.zero_byte, sizeof padding);
  const Column<kGroupsOf3<Dot>> outside = dot.template column<kPart>([&](std::size_t) { return padding; });
  const std::size_t count = args.channel_count - channel;
  const std::size_t last_readable = args.readable_bytes - Dot::read_bytes(kLanes);
  const auto edge = [&](std::size_t offset) __attribute__((noinline)) {
    alignas(32) std::uint8_t copy[4][32] = {};
    for (std::size_t slot = 0; slot < 4; ++slot) {
      for (std::size_t i = 0; i < count && i < kLanes; ++i) copy[slot][i] = args.rows[slot][offset + i];
    }
    return dot.template column<kPart>([&](std::size_t slot) { return copy[slot]; });
  };
  const auto column_at = [&](std::size_t index) {
    const std::size_t x = index - args.pad_left;  // wraps around left of the picture
    if (x >= args.picture_columns) return outside;
    const std::size_t offset = (x * args.channel_count) + channel;
    if (offset > last_readable) return edge(offset);
    return dot.template column<kPart>([&](std::size_t slot) { return args.rows[slot] + offset; });
  };
  const auto bias = [&](int v, int) { return load(&block->bias[v * 8]); };
  using Sums = RollingSums<Dot, kVariants>;
  const auto after = [](const Sums& sums) { return [&sums](int v, int variant) { return sums.sums[v][variant]; }; };
  std::uint8_t* out = args.out_rows[0] + channel;
  const std::size_t next_row = kVariants == 2 ? static_cast<std::size_t>(args.out_rows[1] - args.out_rows[0]) : 0;
  Sums first, second, done;
  Column<kGroupsOf3<Dot>> column = column_at(0);
  first.template add<kVectors>(bias, column, weights, 0);
  if constexpr (kStride == 1) {
    column = column_at(1);
    second.template add<kVectors>(after(first), column, weights, 1);
    first.template add<kVectors>(bias, column, weights, 0);
  }
  for (std::size_t x = 0; x < args.out_w; ++x, out += args.channel_count) {
    if constexpr (kStride == 1) {
      column = column_at(x + 2);
      done.template add<kVectors>(after(second), column, weights, 2);
      second.template add<kVectors>(after(first), column, weights, 1);
    } else {
      column = column_at((2 * x) + 1);
      second.template add<kVectors>(after(first), column, weights, 1);
      column = column_at((2 * x) + 2);
      done.template add<kVectors>(after(second), column, weights, 2);
    }
    first.template add<kVectors>(bias, column, weights, 0);
    if constexpr (kPart == Part::whole) {
      finish_tile<kMode, kVariants>(done.sums, block, stage, out, next_row, count);
    } else {
      constexpr std::size_t kSkip = kPart == Part::high_half ? 8 : 0;
      finish_half<kMode, kVariants>(done.sums, block, stage, out + kSkip, next_row, count - kSkip);
    }
  }
}

template <class Dot, RequantMode kMode, Part kPart>
inline void rolling_rows_of(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot,
                            const std::byte* weights, const RequantBlock* block, std::size_t channel) {
  const bool two = args.variant_count == 2;
  if (args.stride_w == 1) {
    if (two) {
      rolling_rows<Dot, kMode, kPart, 1, 2>(args, stage, dot, weights, block, channel);
    } else {
      rolling_rows<Dot, kMode, kPart, 1, 1>(args, stage, dot, weights, block, channel);
    }
  } else if (two) {
    rolling_rows<Dot, kMode, kPart, 2, 2>(args, stage, dot, weights, block, channel);
  } else {
    rolling_rows<Dot, kMode, kPart, 2, 1>(args, stage, dot, weights, block, channel);
  }
}

template <class Dot, RequantMode kMode, int kVectors>
inline void rolling_block_of(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot,
                             const std::byte* weights, const RequantBlock* block, std::size_t channel) {
  if constexpr (kVectors == 2) {
    rolling_rows_of<Dot, kMode, Part::whole>(args, stage, dot, weights, block, channel);
  } else {
    // The second half's channels are 8 to 15 and 24 to 31 of the block.
    rolling_rows_of<Dot, kMode, Part::low_half>(args, stage, dot, weights, block, channel);
    rolling_rows_of<Dot, kMode, Part::high_half>(args, stage, dot, weights + 64, block + 1, channel);
  }
}

/// All rows of one block of kVectors * 8 channels.
template <class Dot, int kVectors>
void rolling_block(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot, const std::byte* weights,
                   const RequantBlock* block, std::size_t channel) {
  switch (block->floating != 0 ? RequantMode::floating : args.stage.mode) {
    case RequantMode::floating:
      rolling_block_of<Dot, RequantMode::floating, kVectors>(args, stage, dot, weights, block, channel);
      return;
    case RequantMode::rectified:
      rolling_block_of<Dot, RequantMode::rectified, kVectors>(args, stage, dot, weights, block, channel);
      return;
    case RequantMode::symmetric:
      rolling_block_of<Dot, RequantMode::symmetric, kVectors>(args, stage, dot, weights, block, channel);
      return;
    case RequantMode::general:
      rolling_block_of<Dot, RequantMode::general, kVectors>(args, stage, dot, weights, block, channel);
      return;
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
