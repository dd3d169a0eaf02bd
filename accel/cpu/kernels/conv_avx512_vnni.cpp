// SPDX-License-Identifier: Apache-2.0
// AVX512-VNNI: the same weights and strips as AVX-VNNI, sixteen sums to a register and tiles of up to 6 x 64.
#include "accel/cpu/kernels/x86_zmm_depthwise.h"

namespace wayside::accel::cpu {
namespace {

template <int kVectors, int kRows>
inline void tile_wide(const GemmArgs& args, const WideStage& stage, std::size_t row, std::size_t channel) {
  const std::size_t k_bytes = args.k_group_count * 4;
  const std::size_t block_bytes = k_bytes * args.segment_count * kBlockLanes;
  const RequantBlock* block = args.requant + (channel / kBlockLanes);
  const std::byte* weights = args.weights + (channel / kBlockLanes * block_bytes);
  const std::uint8_t* rows[kRows];
  Z sums[kVectors][kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.rows[row + r];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[v][r] = load_wide(block[v].bias.data());
  }
  if (args.row_offsets != nullptr) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Z offset = _mm512_set1_epi32(args.row_offsets[row + r]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[v][r] = _mm512_add_epi32(sums[v][r], offset);
    }
  }
  const std::size_t segments_end = args.segment_count * args.segment_step;
  std::size_t segment = 0;
  do {
    for (std::size_t k = segment; k < segment + k_bytes; k += 4, weights += kBlockLanes * 4) {
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
    segment += args.segment_step;
  } while (segment < segments_end);
  std::uint8_t* out = args.out + (row * args.out_stride) + channel;
  const std::size_t left = args.channel_count - channel;
  bool alike = true;
#pragma GCC unroll 4
  for (int v = 1; v < kVectors; ++v) alike = alike && block[v].mode == block->mode;
  with_mode(alike ? block->mode : args.stage.mode, [&](auto mode) __attribute__((always_inline)) {
    finish_wide<mode.kValue>(sums, block, stage, out, args.out_stride, left);
  });
}

/// Tiles of `count` <= kRows rows each.
template <int kVectors, int kRows>
void tiles_wide(const GemmArgs& args, const WideStage& stage, std::size_t row, std::size_t tiles, std::size_t count,
                std::size_t channel) {
  if constexpr (kRows > 1) {
    if (count < static_cast<std::size_t>(kRows)) {
      tiles_wide<kVectors, kRows - 1>(args, stage, row, tiles, count, channel);
      return;
    }
  }
  for (; tiles > 0; --tiles, row += kRows) tile_wide<kVectors, kRows>(args, stage, row, channel);
}

/// Rows are shared out evenly among tiles of at most kMaxRows.
template <int kVectors, int kMaxRows>
void column_of_tiles(const GemmArgs& args, const WideStage& stage, std::size_t channel) {
  const std::size_t tiles = (args.row_count + kMaxRows - 1) / kMaxRows;
  const std::size_t count = args.row_count / tiles, larger = args.row_count % tiles;
  tiles_wide<kVectors, kMaxRows>(args, stage, 0, larger, count + 1, channel);
  tiles_wide<kVectors, kMaxRows>(args, stage, larger * (count + 1), tiles - larger, count, channel);
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
      column_of_tiles<2, 8>(args, stage, channel);
      channel += 2 * kBlockLanes;
    } else {
      column_of_tiles<1, 8>(args, stage, channel);
      channel += kBlockLanes;
    }
  }
}

}  // namespace

const Isa& avx512_vnni_isa() {
  static const Isa isa = [] {
    Isa made = make_base_isa(Level::avx512_vnni, VnniBytes::kElementBytes, VnniBytes::kDepthwiseBlock);
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) made.gemm_channel[lane] = static_cast<std::uint8_t>(lane);
    made.segments = true;
    made.gemm = gemm_wide;
    made.depthwise = depthwise_wide;
    made.convert = VnniBytes::convert;
    made.row_sums = row_sums;
    if (__builtin_cpu_supports("avx512vbmi")) {
      made.depthwise = depthwise_vbmi;
      made.replace_bytes = replace_bytes_vbmi;
      made.rgb_columns = rgb_columns_vbmi;
    }
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
