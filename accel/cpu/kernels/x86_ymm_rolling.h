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
/// fill the window of the processor and keep it from the next column (Zen 4, AVX-VNNI code, 112x112x32: 126 to 85 us
/// with 8; 16 are 1 to 3 % faster; with 512 bits it lost).
inline constexpr std::size_t kHeldPixels = 16;

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

/// Where a block of channels is: what all its columns have in common.
template <class Dot, int kVectors>
struct RollingSource {
  const DepthwiseArgs& args;
  const Dot& dot;
  const std::uint8_t* rows[4];
  std::size_t channel, whole;

  RollingSource(const DepthwiseArgs& from, const Dot& with, std::size_t at)
      : args(from),
        dot(with),
        rows{from.rows[0] + at, from.rows[1] + at, from.rows[2] + at, from.rows[3] + at},
        channel(at),
        whole(whole_columns<Dot, kVectors * 8>(from, at)) {}

  /// Column `index` of the padded picture.
  template <Part kPart>
  [[gnu::always_inline]] Column<kGroupsOf3<Dot>> column(std::size_t index) const {
    const std::size_t x = index - args.pad_left;  // wraps around left of the picture
    if (x < whole) [[likely]] {
      const std::size_t offset = x * args.channel_count;
      return dot.template column<kPart>(rows[0] + offset, rows[1] + offset, rows[2] + offset, rows[3] + offset);
    }
    alignas(32) std::uint8_t copy[4][32];
    copy_column(args, channel, x, copy);
    return dot.template column<kPart>(copy[0], copy[1], copy[2], copy[3]);
  }
};

/// What pixels that are not complete have so far: `second` lacks one column, `first` two.
template <int kVariants>
struct Unfinished {
  I first[2][kVariants] = {}, second[2][kVariants] = {};
};

/// Sums of the next `count` pixels from column `index` on, 16 channels of kHeldVectors * 8. Each column is added to the
/// pixel that it completes, the one after it and (stride 1) the one after that. `weights` and `block` are the part's.
template <class Dot, Part kPart, int kSets, int kStride, int kVariants, int kHeldVectors>
[[gnu::always_inline]] inline void roll(const RollingSource<Dot, kPart == Part::whole ? 2 : 4>& source,
                                        const std::byte* weights, const RequantBlock* block, std::size_t index,
                                        std::size_t count, Unfinished<kVariants>& state,
                                        I (*held)[kHeldVectors][kVariants]) {
  constexpr int kVectors = kPart == Part::whole ? 2 : 4;
  constexpr int kFirstHeld = kPart == Part::high_half ? 2 : 0;
  Unfinished<kVariants> now = state;
  const auto tap = [&](I from, const Column<kGroupsOf3<Dot>>& column, int variant, int number, int v)
                       __attribute__((always_inline)) {
                         return add_tap<Dot, kVectors, kSets>(from, column, weights, variant, number, v);
                       };
  const auto add_column = [&](std::size_t at, I(*done)[kVariants]) __attribute__((always_inline)) {
    const auto column = source.template column<kPart>(at);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
      for (int variant = 0; variant < kVariants; ++variant) {
        if (done != nullptr) store(&done[v][variant], tap(now.second[v][variant], column, variant, 2, v));
        if constexpr (kStride == 1) now.second[v][variant] = tap(now.first[v][variant], column, variant, 1, v);
        now.first[v][variant] = tap(load(&block->bias[v * 8]), column, variant, 0, v);
      }
    }
  };
  if (index == 0) {  // the columns before the first that completes a pixel
    add_column(index++, nullptr);
    if constexpr (kStride == 1) add_column(index++, nullptr);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (kStride == 2) {
      const auto odd = source.template column<kPart>(index++);
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
#pragma GCC unroll 2
        for (int variant = 0; variant < kVariants; ++variant) {
          now.second[v][variant] = tap(now.first[v][variant], odd, variant, 1, v);
        }
      }
    }
    add_column(index++, held[i] + kFirstHeld);
  }
  state = now;
}

/// The output rows of a block of kVectors * 8 channels, some pixels at a time: their sums, then their bytes.
template <class Dot, RequantMode kMode, int kVectors, int kSets, int kStride, int kVariants>
void rolling_rows(const DepthwiseArgs& args, const StageVectors& stages, const Dot& dot, const std::byte* weights,
                  const RequantBlock* block, std::size_t channel) {
  const RollingSource<Dot, kVectors> source(args, dot, channel);
  const std::size_t out_step = args.channel_count, count = args.channel_count - channel;
  std::uint8_t* out = args.out_rows[0] + channel;
  const std::size_t next_row = kVariants == 2 ? static_cast<std::size_t>(args.out_rows[1] - args.out_rows[0]) : 0;
  I held[kHeldPixels][kVectors][kVariants];
  Unfinished<kVariants> low, high;
  std::size_t index = 0;
  for (std::size_t x = 0; x < args.out_w; x += kHeldPixels) {
    const std::size_t pixels = args.out_w - x < kHeldPixels ? args.out_w - x : kHeldPixels;
    if constexpr (kVectors == 2) {
      roll<Dot, Part::whole, kSets, kStride, kVariants>(source, weights, block, index, pixels, low, held);
    } else {
      // The second half's channels are 8 to 15 and 24 to 31 of the block.
      roll<Dot, Part::low_half, kSets, kStride, kVariants>(source, weights, block, index, pixels, low, held);
      roll<Dot, Part::high_half, kSets, kStride, kVariants>(source, weights + 64, block + 1, index, pixels, high, held);
    }
    index += (index == 0 ? 3 - kStride : 0) + (pixels * kStride);
    const StageVectors& stage = *opaque(&stages);
    for (std::size_t i = 0; i < pixels; ++i, out += out_step) {
      I sums[kVectors][kVariants];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
        for (int variant = 0; variant < kVariants; ++variant) sums[v][variant] = load(&held[i][v][variant]);
      }
      finish_tile<kMode, kVariants>(sums, block, stage, out, next_row, count);
    }
  }
}

template <class Dot, RequantMode kMode, int kVectors, int kSets>
inline void rolling_block_of(const DepthwiseArgs& args, const StageVectors& stage, const Dot& dot,
                             const std::byte* weights, const RequantBlock* block, std::size_t channel) {
  const bool two = args.variant_count == 2;
  if (args.stride_w == 1) {
    if (two) {
      rolling_rows<Dot, kMode, kVectors, kSets, 1, 2>(args, stage, dot, weights, block, channel);
    } else {
      rolling_rows<Dot, kMode, kVectors, kSets, 1, 1>(args, stage, dot, weights, block, channel);
    }
  } else if (two) {
    rolling_rows<Dot, kMode, kVectors, kSets, 2, 2>(args, stage, dot, weights, block, channel);
  } else {
    rolling_rows<Dot, kMode, kVectors, kSets, 2, 1>(args, stage, dot, weights, block, channel);
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
  if (mode == RequantMode::floating_signed || mode == RequantMode::precise_signed) return false;
  with_depthwise_mode(mode, [&](auto form) __attribute__((always_inline)) {
    rolling_block_of<Dot, form.kValue, kVectors, 1>(args, stage, dot, weights, block, channel);
  });
  return true;
}

}  // namespace
}  // namespace wayside::accel::cpu
