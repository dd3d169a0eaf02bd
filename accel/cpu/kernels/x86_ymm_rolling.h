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

/// Sums wait for this many pixels before they are requantised: one pixel's long chain of dependent instructions would
/// fill the window of the processor and keep it from the next column (Zen 4, AVX-VNNI code, 112x112x32: 126 to 85 us;
/// with 512 bits it lost).
inline constexpr std::size_t kHeldPixels = 8;

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

/// Column x of four rows of a picture, for those that lie outside it or too near to the end of readable memory.
[[gnu::noinline]] void copy_column(const DepthwiseArgs& args, std::size_t channel, std::size_t x,
                                   std::uint8_t (&copy)[4][32]) {
  std::memset(copy, args.zero_byte, sizeof copy);
  if (x >= args.picture_columns) return;
  const std::size_t left = args.channel_count - channel;
  for (std::size_t slot = 0; slot < 4; ++slot) {
    const std::uint8_t* from = args.rows[slot] + (x * args.channel_count) + channel;
    for (std::size_t i = 0; i < left && i < sizeof copy[slot]; ++i) copy[slot][i] = from[i];
  }
}

/// Columns of the picture from which a whole vector can be read: all but perhaps the last few.
template <class Dot, std::size_t kLanes>
inline std::size_t whole_columns(const DepthwiseArgs& args, std::size_t channel) {
  const std::size_t first_end = channel + Dot::read_bytes(kLanes);
  if (args.readable_bytes < first_end) return 0;
  const std::size_t whole = ((args.readable_bytes - first_end) / args.channel_count) + 1;
  return whole < args.picture_columns ? whole : args.picture_columns;
}

/// from + column * weights of one tap; weights: [variant][tap][group][set][block vector].
template <class Dot, int kVectors, int kSets>
[[gnu::always_inline]] inline I add_tap(I from, const Column<kGroupsOf3<Dot>>& column, const std::byte* weights,
                                        int variant, int tap, int v) {
#pragma GCC unroll 2
  for (int group = 0; group < kGroupsOf3<Dot>; ++group) {
    const int index = ((((((variant * 3) + tap) * kGroupsOf3<Dot>)+group) * kSets) * kVectors) + v;
#pragma GCC unroll 2
    for (int set = 0; set < kSets; ++set) {
      from = Dot::add(from, column.groups[group][v], load(weights + ((index + (set * kVectors)) * 32)));
    }
  }
  return from;
}

/// `weights` and `block` are those of the part. Each column is added to the pixel that it completes, the one after it
/// and (stride 1) the one after that: `second` lacks this column, `first` this and the next.
template <class Dot, RequantMode kMode, Part kPart, int kSets, int kStride, int kVariants>
void rolling_rows(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot, const std::byte* weights,
                  const RequantBlock* block, std::size_t channel) {
  constexpr int kVectors = kPart == Part::whole ? 2 : 4;
  constexpr std::size_t kSkip = kPart == Part::high_half ? 8 : 0;
  alignas(32) std::uint8_t copy[4][32];
  const std::size_t whole = whole_columns<Dot, kVectors * 8>(args, channel);
  const std::size_t pad_left = args.pad_left;
  const std::uint8_t *row0 = args.rows[0] + channel, *row1 = args.rows[1] + channel, *row2 = args.rows[2] + channel,
                     *row3 = args.rows[3] + channel;
  const std::size_t count = args.channel_count - channel - kSkip;
  const std::size_t out_step = args.channel_count;
  std::uint8_t* out = args.out_rows[0] + channel + kSkip;
  const std::size_t next_row = kVariants == 2 ? static_cast<std::size_t>(args.out_rows[1] - args.out_rows[0]) : 0;
  const auto column_at = [&](std::size_t index) __attribute__((always_inline)) {
    const std::size_t x = index - pad_left;  // wraps around left of the picture
    if (x < whole) [[likely]] {
      const std::size_t offset = x * out_step;
      return dot.template column<kPart>(row0 + offset, row1 + offset, row2 + offset, row3 + offset);
    }
    copy_column(args, channel, x, copy);
    return dot.template column<kPart>(copy[0], copy[1], copy[2], copy[3]);
  };
  const auto tap = [&](I from, const Column<kGroupsOf3<Dot>>& column, int variant, int number, int v)
                       __attribute__((always_inline)) {
                         return add_tap<Dot, kVectors, kSets>(from, column, weights, variant, number, v);
                       };
  I first[2][kVariants] = {}, second[2][kVariants] = {}, done[2][kVariants], held[kHeldPixels][2][kVariants];
  std::size_t held_count = 0;
  const std::size_t columns = (args.out_w - 1) * kStride + 3;
  // A column in two steps for stride 2: an odd one, then the even one that completes a pixel.
  for (std::size_t index = 0; index < columns; ++index) {
    if (kStride == 2 && index > 0) {
      const auto odd = column_at(index++);
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
        for (int variant = 0; variant < kVariants; ++variant) {
          second[v][variant] = tap(first[v][variant], odd, variant, 1, v);
        }
      }
    }
    const auto column = column_at(index);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) {
        done[v][variant] = tap(second[v][variant], column, variant, 2, v);
        if constexpr (kStride == 1) second[v][variant] = tap(first[v][variant], column, variant, 1, v);
        first[v][variant] = tap(load(&block->bias[v * 8]), column, variant, 0, v);
      }
    }
    if (index < 2) continue;
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) store(&held[held_count][v][variant], done[v][variant]);
    }
    if (++held_count < kHeldPixels && index + 1 < columns) continue;
    for (std::size_t i = 0; i < held_count; ++i, out += out_step) {
      I sums[2][kVariants];
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
        for (int variant = 0; variant < kVariants; ++variant) sums[v][variant] = load(&held[i][v][variant]);
      }
      if constexpr (kPart == Part::whole) {
        finish_tile<kMode, kVariants>(sums, block, stage, out, next_row, count);
      } else {
        finish_half<kMode, kVariants>(sums, block, stage, out, next_row, count);
      }
    }
    held_count = 0;
  }
}

template <class Dot, RequantMode kMode, Part kPart, int kSets>
inline void rolling_rows_of(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot,
                            const std::byte* weights, const RequantBlock* block, std::size_t channel) {
  const bool two = args.variant_count == 2;
  if (args.stride_w == 1) {
    if (two) {
      rolling_rows<Dot, kMode, kPart, kSets, 1, 2>(args, stage, dot, weights, block, channel);
    } else {
      rolling_rows<Dot, kMode, kPart, kSets, 1, 1>(args, stage, dot, weights, block, channel);
    }
  } else if (two) {
    rolling_rows<Dot, kMode, kPart, kSets, 2, 2>(args, stage, dot, weights, block, channel);
  } else {
    rolling_rows<Dot, kMode, kPart, kSets, 2, 1>(args, stage, dot, weights, block, channel);
  }
}

template <class Dot, RequantMode kMode, int kVectors, int kSets>
inline void rolling_block_of(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot,
                             const std::byte* weights, const RequantBlock* block, std::size_t channel) {
  if constexpr (kVectors == 2) {
    rolling_rows_of<Dot, kMode, Part::whole, kSets>(args, stage, dot, weights, block, channel);
  } else {
    // The second half's channels are 8 to 15 and 24 to 31 of the block.
    rolling_rows_of<Dot, kMode, Part::low_half, kSets>(args, stage, dot, weights, block, channel);
    rolling_rows_of<Dot, kMode, Part::high_half, kSets>(args, stage, dot, weights + 64, block + 1, channel);
  }
}

/// All rows of one block of kVectors * 8 channels; false where the form of the block's weights and steps has no code
/// here: 9-bit weights (two sets) exist in legacy u8 models, whose depthwise layers are rectified.
template <class Dot, int kVectors>
bool rolling_block(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot, const std::byte* weights,
                   const RequantBlock* block, std::size_t channel) {
  const RequantMode mode = block->mode;
  if (block->set_count == 2) {
    if constexpr (Dot::kSlots == 4) {
      if (mode != RequantMode::floating) return false;
      rolling_block_of<Dot, RequantMode::floating, kVectors, 2>(args, stage, dot, weights, block, channel);
      return true;
    }
    return false;
  }
  switch (mode) {
    case RequantMode::floating_signed:
    case RequantMode::precise_signed: return false;
    case RequantMode::precise:
      rolling_block_of<Dot, RequantMode::precise, kVectors, 1>(args, stage, dot, weights, block, channel);
      return true;
    case RequantMode::floating:
      rolling_block_of<Dot, RequantMode::floating, kVectors, 1>(args, stage, dot, weights, block, channel);
      return true;
    case RequantMode::rectified:
      rolling_block_of<Dot, RequantMode::rectified, kVectors, 1>(args, stage, dot, weights, block, channel);
      return true;
    case RequantMode::symmetric:
      rolling_block_of<Dot, RequantMode::symmetric, kVectors, 1>(args, stage, dot, weights, block, channel);
      return true;
    case RequantMode::general:
      rolling_block_of<Dot, RequantMode::general, kVectors, 1>(args, stage, dot, weights, block, channel);
      return true;
  }
  return false;
}

}  // namespace
}  // namespace wayside::accel::cpu
