// SPDX-License-Identifier: Apache-2.0
// The inner loops for 128-bit Arm, shared by the plain NEON and the dot-product files, which differ in how one k_group
// is added. Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {
namespace {

constexpr int kMaxRows = 6;

inline const std::uint8_t* bytes_of(const std::byte* from) { return reinterpret_cast<const std::uint8_t*>(from); }

/// Sums of lanes [lane, lane + 4) to scaled values: SQRDMULH is gemmlowp's first rounding; the second, halves away from
/// zero, is SRSHL (halves upwards) after negative values were lowered by one. Rectified layers clamp negative values
/// anyway.
template <RequantMode kMode>
inline int32x4_t scale_sum(int32x4_t sum, const RequantBlock& block, std::size_t lane) {
  if constexpr (kMode == RequantMode::general) sum = vshlq_s32(sum, vld1q_s32(&block.left[lane]));
  int32x4_t scaled = vqrdmulhq_s32(sum, vld1q_s32(&block.multiplier[lane]));
  int32x4_t right = vnegq_s32(vld1q_s32(&block.right[lane]));
  if constexpr (kMode != RequantMode::general) right = vsubq_s32(right, vdupq_n_s32(1));
  if constexpr (kMode != RequantMode::rectified) {
    scaled = vqaddq_s32(scaled, vshrq_n_s32(vandq_s32(scaled, right), 31));
  }
  return vrshlq_s32(scaled, right);
}

struct StageVectors {
  int16x8_t zero_point;
  int8x16_t clamp_min, clamp_max, flip;
  explicit StageVectors(const OutputStage& stage)
      : zero_point(vdupq_n_s16(stage.zero_point)),
        clamp_min(vdupq_n_s8(stage.clamp_min)),
        clamp_max(vdupq_n_s8(stage.clamp_max)),
        flip(vdupq_n_s8(static_cast<std::int8_t>(stage.flip))) {}
};

inline void store_some(std::uint8_t* to, int8x16_t bytes, std::size_t count) {
  if (count >= kBlockLanes) {
    vst1q_s8(reinterpret_cast<std::int8_t*>(to), bytes);
    return;
  }
  std::int8_t buffer[kBlockLanes];
  vst1q_s8(buffer, bytes);
  std::memcpy(to, buffer, count);
}

/// One pixel of kVectors * 4 channels.
template <RequantMode kMode, int kVectors>
inline void finish_pixel(const int32x4_t (&sums)[kVectors], const RequantBlock& block, const StageVectors& stage,
                         std::uint8_t* out, std::size_t count) {
  int16x4_t halves[4] = {vdup_n_s16(0), vdup_n_s16(0), vdup_n_s16(0), vdup_n_s16(0)};
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) halves[v] = vqmovn_s32(scale_sum<kMode>(sums[v], block, v * 4));
  const int16x8_t low = vqaddq_s16(vcombine_s16(halves[0], halves[1]), stage.zero_point);
  const int16x8_t high = vqaddq_s16(vcombine_s16(halves[2], halves[3]), stage.zero_point);
  const int8x16_t bytes = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
  store_some(out, veorq_s8(vminq_s8(vmaxq_s8(bytes, stage.clamp_min), stage.clamp_max), stage.flip), count);
}

template <int kVectors>
inline void finish_pixel_any(const int32x4_t (&sums)[kVectors], const RequantBlock& block, RequantMode mode,
                             const StageVectors& stage, std::uint8_t* out, std::size_t count) {
  switch (mode) {
    case RequantMode::floating:
    case RequantMode::floating_signed:
    case RequantMode::rectified: finish_pixel<RequantMode::rectified>(sums, block, stage, out, count); return;
    case RequantMode::symmetric: finish_pixel<RequantMode::symmetric>(sums, block, stage, out, count); return;
    case RequantMode::general: finish_pixel<RequantMode::general>(sums, block, stage, out, count); return;
  }
}

/// kRows pixels x kVectors * 4 channels.
template <class Dot, int kVectors, int kRows>
inline void gemm_tile(const GemmArgs& args, const StageVectors& stage, std::size_t row, std::size_t channel) {
  const RequantBlock& block = args.requant[channel / kBlockLanes];
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::byte* weights = args.weights + (channel * k_bytes);
  const std::uint8_t* rows[kRows];
  int32x4_t sums[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.rows[row + r];
    const int32x4_t offset = vdupq_n_s32(args.row_offsets != nullptr ? args.row_offsets[row + r] : 0);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = vaddq_s32(vld1q_s32(&block.bias[v * 4]), offset);
  }
  for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
    const auto w = Dot::template load_weights<kVectors>(weights);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) Dot::add_row(sums[r], rows[r] + k, w);
  }
  const std::size_t left = args.channel_count - channel;
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    finish_pixel_any(sums[r], block, args.stage.mode, stage, args.out + ((row + r) * args.out_stride) + channel, left);
  }
}

template <class Dot, int kVectors, int kRows = kMaxRows>
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

template <class Dot, int kVectors>
void gemm_column(const GemmArgs& args, const StageVectors& stage, std::size_t channel) {
  std::size_t row = 0;
  for (std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows; tiles > 0; --tiles) {
    const std::size_t count = (args.row_count - row + tiles - 1) / tiles;
    gemm_tile_of<Dot, kVectors>(args, stage, row, channel, count);
    row += count;
  }
}

template <class Dot>
void gemm(const GemmArgs& args) {
  const StageVectors stage(args.stage);
  std::size_t channel = 0;
  for (; channel + kHalfBlock < args.channel_count; channel += kBlockLanes) gemm_column<Dot, 4>(args, stage, channel);
  if (channel < args.channel_count) gemm_column<Dot, 2>(args, stage, channel);
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

template <class Dot, int kWidth>
inline void depthwise_row(const DepthwiseArgs& args, const StageVectors& stage, const std::byte* weights,
                          const RequantBlock& block, std::uint8_t* out, std::size_t count) {
  const std::size_t width = kWidth != 0 ? kWidth : args.kernel_w;
  const auto sets = static_cast<std::size_t>(block.set_count);
  const std::size_t column_bytes = kColumnBytes * args.group_count;
  const std::byte* column = args.strip;
  for (std::size_t x = 0; x < args.out_w; ++x, column += column_bytes * args.stride_w, out += args.channel_count) {
    int32x4_t sums[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[v] = vld1q_s32(&block.bias[v * 4]);
    const std::byte* w = weights;
    const std::byte* q = column;
#pragma GCC unroll 3
    for (std::size_t j = 0; j < width; ++j, q += column_bytes * args.dilation_w) {
      for (std::size_t group = 0; group < args.group_count; ++group) {
        for (std::size_t set = 0; set < sets; ++set, w += kColumnBytes) {
          Dot::add_lanes(sums, q + (group * kColumnBytes), w);
        }
      }
    }
    finish_pixel_any(sums, block, args.stage.mode, stage, out, count);
  }
}

template <class Dot>
void depthwise(const DepthwiseArgs& args) {
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
        depthwise_row<Dot, 3>(args, stage, weights, block, out, left);
      } else {
        depthwise_row<Dot, 0>(args, stage, weights, block, out, left);
      }
      weights += kBlockLanes * args.kernel_w * tap_bytes * static_cast<std::size_t>(block.set_count);
    }
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
  return isa;
}

}  // namespace
}  // namespace wayside::accel::cpu
