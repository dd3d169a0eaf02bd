// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution for 512-bit x86: rows made of the strips of x86_ymm_depthwise.h.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include "accel/cpu/kernels/x86_zmm.h"

namespace wayside::accel::cpu {
namespace {

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
    with_depthwise_mode(block->mode, [&](auto form) __attribute__((always_inline)) {
      depthwise_row_wide_any<form.kValue, kVectors>(args, stage, weights, block, out, left);
    });
    weights += kVectors * kBlockLanes * args.kernel_w * tap_bytes * static_cast<std::size_t>(block->set_count);
  }
}

inline void depthwise_wide(const DepthwiseArgs& args) {
  const WideStage stage(args.stage);
  const VnniBytes bytes(args.flip, args.zero_point);
  std::size_t channel = 0;
  for (; channel + kBlockLanes < args.channel_count; channel += kStripLanes) {
    depthwise_block_wide<2>(args, stage, bytes, channel);
  }
  for (; channel < args.channel_count; channel += kBlockLanes) depthwise_block_wide<1>(args, stage, bytes, channel);
}

}  // namespace
}  // namespace wayside::accel::cpu
