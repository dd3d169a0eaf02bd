// SPDX-License-Identifier: Apache-2.0
// The inner loops for 128-bit Arm, shared by the plain NEON and the dot-product files, which differ in how a tile of
// products is summed. Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include <arm_neon.h>

#include <cstring>
#include <type_traits>

#include "accel/cpu/kernels/arm_requant.h"
#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {
namespace {

inline const std::uint8_t* bytes_of(const std::byte* from) { return reinterpret_cast<const std::uint8_t*>(from); }

/// to[i] = from[i] ^ flip.
[[maybe_unused]] void flip_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip) {
  const uint8x16_t mask = vdupq_n_u8(flip);
  std::size_t i = 0;
  for (; i + 64 <= count; i += 64) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 64; v += 16) vst1q_u8(to + i + v, veorq_u8(vld1q_u8(from + i + v), mask));
  }
  for (; i + 16 <= count; i += 16) vst1q_u8(to + i, veorq_u8(vld1q_u8(from + i), mask));
  for (; i < count; ++i) to[i] = from[i] ^ flip;
}

/// Where a tile lies in the output.
struct TilePlace {
  std::uint8_t* out;
  std::size_t stride;
  std::size_t count;  ///< channels left, from the tile's first
};

/// The first place.count bytes of each row, where that is less than a vector.
template <class Bytes, std::size_t kRows>
[[gnu::noinline]] void store_some(const Bytes (&bytes)[kRows], const TilePlace& place) {
  for (std::size_t r = 0; r < kRows; ++r) std::memcpy(place.out + (r * place.stride), &bytes[r], place.count);
}

template <class Bytes, std::size_t kRows>
inline void store_rows(const Bytes (&bytes)[kRows], const TilePlace& place) {
  if (place.count < sizeof(Bytes)) {
    store_some(bytes, place);
    return;
  }
  std::uint8_t* out = place.out;
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r, out += place.stride) store(out, bytes[r]);
}

/// Scales, narrows and stores kRows pixels of kVectors * 4 channels. Nothing is stored before all is read: a store of
/// bytes would have the constants read again.
template <RequantMode kMode, int kVectors, int kRows>
inline void finish_tile(int32x4_t (&sums)[kRows][kVectors], const RequantBlock& block, const StageVectors& stage,
                        const TilePlace& place) {
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const ScaleVectors<kMode> scale(block, static_cast<std::size_t>(v) * 4);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) sums[r][v] = scale(sums[r][v]);
  }
  std::conditional_t<kVectors == 4, int8x16_t, int8x8_t> bytes[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kVectors == 4) {
      bytes[r] = stage.saturated(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
    } else {
      bytes[r] = stage.saturated(sums[r][0], sums[r][1]);
    }
  }
  stage.clamp(bytes);
  store_rows(bytes, place);
}

template <class Dot, RequantMode kMode, int kVectors, int kRows>
void gemm_tile(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel) {
  const RequantBlock& block = args.requant[channel / kBlockLanes];
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::uint8_t* rows[kRows];
  int32x4_t sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.rows[row + r];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = vld1q_s32(&block.bias[v * 4]);
  }
  Dot::template add_products<kVectors, kRows>(sums, rows, args.weights + (channel * k_bytes), k_bytes);
  if (args.row_offsets != nullptr) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const int32x4_t offset = vld1q_dup_s32(args.row_offsets + row + r);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] = vaddq_s32(sums[r][v], offset);
    }
  }
  finish_tile<kMode>(sums, block, stage,
                     {args.out + (row * args.out_stride) + channel, args.out_stride, args.channel_count - channel});
}

template <class Dot, RequantMode kMode, int kVectors, int kRows>
inline void gemm_tile_of(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel,
                         std::size_t count) {
  if constexpr (kRows > 1) {
    if (count < static_cast<std::size_t>(kRows)) {
      gemm_tile_of<Dot, kMode, kVectors, kRows - 1>(args, stage, row, channel, count);
      return;
    }
  }
  gemm_tile<Dot, kMode, kVectors, kRows>(args, stage, row, channel);
}

/// Rows are shared out evenly among tiles of at most Dot::kMaxRows<kVectors>.
template <class Dot, RequantMode kMode, int kVectors>
void gemm_column(const GemmArgs& args, const StageVectors& stage, std::size_t channel) {
  constexpr std::size_t kMaxRows = Dot::template kMaxRows<kVectors>;
  std::size_t row = 0;
  for (std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows; tiles > 0; --tiles) {
    const std::size_t count = (args.row_count - row + tiles - 1) / tiles;
    gemm_tile_of<Dot, kMode, kVectors, static_cast<int>(kMaxRows)>(args, stage, row, channel, count);
    row += count;
  }
}

template <class Dot, RequantMode kMode>
void gemm_mode(const GemmArgs& args) {
  const StageVectors stage(args.stage);
  std::size_t channel = 0;
  for (; channel + kHalfBlock < args.channel_count; channel += kBlockLanes) {
    gemm_column<Dot, kMode, 4>(args, stage, channel);
  }
  if (channel < args.channel_count) gemm_column<Dot, kMode, 2>(args, stage, channel);
}

template <class Dot>
void gemm(const GemmArgs& args) {
  switch (args.stage.mode) {
    case RequantMode::floating:
    case RequantMode::floating_signed:
    case RequantMode::precise:
    case RequantMode::precise_signed:
    case RequantMode::rectified: gemm_mode<Dot, RequantMode::rectified>(args); return;
    case RequantMode::symmetric: gemm_mode<Dot, RequantMode::symmetric>(args); return;
    case RequantMode::general: gemm_mode<Dot, RequantMode::general>(args); return;
  }
}

constexpr std::size_t kColumnBytes = kBlockLanes * 4;

/// 16 channels of one slot, converted; where fewer than 16 bytes may be read, only those that exist.
template <class Dot>
void build_strip(const DepthwiseArgs& args, const Dot& dot, std::size_t channel) {
  std::uint8_t padding[kBlockLanes];
  std::memset(padding, args.zero_byte, sizeof padding);
  std::byte* to = args.strip;
  const auto build = [&](auto source) {
    for (std::size_t group = 0; group < args.group_count; ++group, to += kColumnBytes) {
      dot.interleave(to, [&](std::size_t i) { return source((group * Dot::kSlots) + i); });
    }
  };
  for (std::size_t i = 0; i < args.pad_left; ++i) build([&](std::size_t) { return vld1q_u8(padding); });
  const std::size_t wanted = args.strip_columns - args.pad_left;
  const std::size_t columns = wanted < args.picture_columns ? wanted : args.picture_columns;
  const std::size_t left = args.channel_count - channel < kBlockLanes ? args.channel_count - channel : kBlockLanes;
  std::size_t offset = channel;
  for (std::size_t x = 0; x < columns; ++x, offset += args.channel_count) {
    if (offset + kBlockLanes <= args.readable_bytes) {
      build([&](std::size_t slot) { return vld1q_u8(args.rows[slot] + offset); });
    } else {
      build([&](std::size_t slot) {
        std::uint8_t edge[kBlockLanes] = {};
        std::memcpy(edge, args.rows[slot] + offset, left);
        return vld1q_u8(edge);
      });
    }
  }
  for (std::size_t i = columns; i < wanted; ++i) build([&](std::size_t) { return vld1q_u8(padding); });
}

template <class Dot, RequantMode kMode, int kWidth>
inline void depthwise_row(const DepthwiseArgs& args, const StageVectors& stage, const std::byte* weights,
                          const RequantBlock& block, std::uint8_t* out, std::size_t count) {
  const std::size_t width = kWidth != 0 ? kWidth : args.kernel_w;
  const auto sets = static_cast<std::size_t>(block.set_count);
  const std::size_t column_bytes = kColumnBytes * args.group_count;
  const std::byte* column = args.strip;
  for (std::size_t x = 0; x < args.out_w; ++x, column += column_bytes * args.stride_w, out += args.channel_count) {
    int32x4_t sums[1][4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[0][v] = vld1q_s32(&block.bias[v * 4]);
    const std::byte* w = weights;
    const std::byte* q = column;
#pragma GCC unroll 3
    for (std::size_t j = 0; j < width; ++j, q += column_bytes * args.dilation_w) {
      for (std::size_t group = 0; group < args.group_count; ++group) {
        for (std::size_t set = 0; set < sets; ++set, w += kColumnBytes) {
          Dot::add_lanes(sums[0], q + (group * kColumnBytes), w);
        }
      }
    }
    finish_tile<kMode>(sums, block, stage, {out, 0, count});
  }
}

template <class Dot, RequantMode kMode>
void depthwise_mode(const DepthwiseArgs& args) {
  const StageVectors stage(args.stage);
  const Dot dot(args.flip, args.zero_point);
  for (std::size_t channel = 0; channel < args.channel_count; channel += kBlockLanes) {
    build_strip(args, dot, channel);
    const RequantBlock& block = args.requant[channel / kBlockLanes];
    const std::size_t tap_bytes = args.group_count * 4;  // of one channel and set
    const std::byte* weights =
        args.weights + (channel * args.packed_variants * args.kernel_w * tap_bytes * args.packed_sets);
    for (std::size_t variant = 0; variant < args.variant_count; ++variant) {
      std::uint8_t* out = args.out_rows[variant] + channel;
      const std::size_t left = args.channel_count - channel;
      if (args.kernel_w == 3) {
        depthwise_row<Dot, kMode, 3>(args, stage, weights, block, out, left);
      } else {
        depthwise_row<Dot, kMode, 0>(args, stage, weights, block, out, left);
      }
      weights += kBlockLanes * args.kernel_w * tap_bytes * static_cast<std::size_t>(block.set_count);
    }
  }
}

template <class Dot>
void depthwise(const DepthwiseArgs& args) {
  switch (args.stage.mode) {
    case RequantMode::floating:
    case RequantMode::floating_signed:
    case RequantMode::precise:
    case RequantMode::precise_signed:
    case RequantMode::rectified: depthwise_mode<Dot, RequantMode::rectified>(args); return;
    case RequantMode::symmetric: depthwise_mode<Dot, RequantMode::symmetric>(args); return;
    case RequantMode::general: depthwise_mode<Dot, RequantMode::general>(args); return;
  }
}

template <class Dot>
Isa make_isa(Level level) {
  Isa isa;
  isa.level = level;
  isa.element_bytes = Dot::kElementBytes;
  isa.signed_activations = Dot::kElementBytes == 1;
  isa.depthwise_block = kBlockLanes;
  for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
    isa.gemm_channel[lane] = isa.gemm_half_channel[lane] = static_cast<std::uint8_t>(lane);
    isa.depthwise_tail_channel[lane] = static_cast<std::uint8_t>(lane);
  }
  isa.gemm = gemm<Dot>;
  isa.depthwise = depthwise<Dot>;
  isa.convert = Dot::convert;
  isa.replace_bytes = replace_bytes;
  return isa;
}

}  // namespace
}  // namespace wayside::accel::cpu
