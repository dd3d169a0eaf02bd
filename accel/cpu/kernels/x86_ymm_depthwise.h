// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution for 256-bit x86: strips of interleaved columns and the rows made of them.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_ymm_rolling.h"

namespace wayside::accel::cpu {
namespace {

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
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const RoundDown rounding(is_precise(block->mode));
  const std::size_t tap_bytes = args.group_count * 4;  // of one channel and set
  const std::byte* weights =
      args.weights + (channel * args.packed_variants * args.kernel_w * tap_bytes * args.packed_sets);
  if (rolls<Dot>(args) && rolling_block<Dot, kVectors>(args, stage, dot, weights, block, channel)) return;
  build_strip<Dot, kVectors * 8>(args, dot, channel);
  const std::size_t left = args.channel_count - channel;
  for (std::size_t variant = 0; variant < args.variant_count; ++variant) {
    std::uint8_t* out = args.out_rows[variant] + channel;
    with_depthwise_mode(block->mode, [&](auto form) __attribute__((always_inline)) {
      depthwise_row_any<Dot, form.kValue, kVectors>(args, stage, weights, block, out, left);
    });
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

}  // namespace
}  // namespace wayside::accel::cpu
