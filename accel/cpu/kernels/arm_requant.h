// SPDX-License-Identifier: Apache-2.0
// Requantisation on 128-bit Arm, bit-exact to requant.h: SQRDMULH is gemmlowp's first rounding, SRSHL the second.
// Included only by files with their own instruction-set flags, see x86_ymm.h.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {
namespace {

/// The constants that scale lanes [lane, lane + 4) of a block. SRSHL rounds halves upwards, gemmlowp away from zero:
/// negative values are lowered by one first (where they are shifted at all). Rectified layers clamp negative values
/// whatever their rounding.
template <RequantMode kMode>
class ScaleVectors {
 public:
  ScaleVectors(const RequantBlock& block, std::size_t lane) : multiplier_(vld1q_s32(&block.multiplier[lane])) {
    const int32x4_t right = vld1q_s32(&block.right[lane]);
    if constexpr (kMode == RequantMode::general) {
      left_ = vld1q_s32(&block.left[lane]);
      right_ = vnegq_s32(right);
    } else {
      right_ = vmvnq_s32(right);  // the block holds e - 1 >= 0: -(e - 1) - 1
    }
  }
  [[nodiscard]] int32x4_t operator()(int32x4_t sum) const {
    if constexpr (kMode == RequantMode::general) sum = vshlq_s32(sum, left_);
    int32x4_t scaled = vqrdmulhq_s32(sum, multiplier_);
    if constexpr (kMode == RequantMode::general) {
      scaled = vqaddq_s32(scaled, vshrq_n_s32(vandq_s32(scaled, right_), 31));
    } else if constexpr (kMode == RequantMode::symmetric) {
      scaled = vsraq_n_s32(scaled, scaled, 31);
    }
    return vrshlq_s32(scaled, right_);
  }

 private:
  int32x4_t multiplier_, right_, left_{};
};

class StageVectors {
 public:
  explicit StageVectors(const OutputStage& stage)
      : zero_point_(vdupq_n_s16(stage.zero_point)),
        clamp_min_(vdupq_n_s8(stage.clamp_min)),
        clamp_max_(vdupq_n_s8(stage.clamp_max)),
        flip_(vdupq_n_s8(static_cast<std::int8_t>(stage.flip))),
        saturates_(stage.clamp_min == -128 && stage.clamp_max == 127 && stage.flip == 0) {}

  [[nodiscard]] int8x16_t narrow(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) const {
    int8x16_t bytes[1] = {saturated(a, b, c, d)};
    clamp(bytes);
    return bytes[0];
  }
  [[nodiscard]] int8x8_t narrow(int32x4_t a, int32x4_t b) const {
    int8x8_t bytes[1] = {saturated(a, b)};
    clamp(bytes);
    return bytes[0];
  }

  /// Before the clamps, which are left out for a usual layer: narrowing saturates.
  [[nodiscard]] int8x16_t saturated(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) const {
    const int16x8_t low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero_point_);
    const int16x8_t high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c), d), zero_point_);
    return vqmovn_high_s16(vqmovn_s16(low), high);
  }
  [[nodiscard]] int8x8_t saturated(int32x4_t a, int32x4_t b) const {
    return vqmovn_s16(vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero_point_));
  }
  template <std::size_t kCount>
  void clamp(int8x16_t (&bytes)[kCount]) const {
    if (saturates_) return;
#pragma GCC unroll 12
    for (int8x16_t& some : bytes) some = veorq_s8(vminq_s8(vmaxq_s8(some, clamp_min_), clamp_max_), flip_);
  }
  template <std::size_t kCount>
  void clamp(int8x8_t (&bytes)[kCount]) const {
    if (saturates_) return;
    const int8x8_t least = vget_low_s8(clamp_min_), most = vget_low_s8(clamp_max_), flip = vget_low_s8(flip_);
#pragma GCC unroll 12
    for (int8x8_t& some : bytes) some = veor_s8(vmin_s8(vmax_s8(some, least), most), flip);
  }

 private:
  int16x8_t zero_point_;
  int8x16_t clamp_min_, clamp_max_, flip_;
  bool saturates_;
};

/// bytes[i] = table[bytes[i]]: four look-ups of 64 bytes each; TBX leaves alone what lies outside its part.
[[maybe_unused]] void replace_bytes(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table) {
  uint8x16x4_t parts[4];
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t v = 0; v < 4; ++v) parts[i].val[v] = vld1q_u8(table + (64 * i) + (16 * v));
  }
  const uint8x16_t part = vdupq_n_u8(64);
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint8x16_t first = vld1q_u8(bytes + i);
    const uint8x16_t second = vsubq_u8(first, part), third = vsubq_u8(second, part), fourth = vsubq_u8(third, part);
    uint8x16_t found = vqtbl4q_u8(parts[0], first);
    found = vqtbx4q_u8(found, parts[1], second);
    found = vqtbx4q_u8(found, parts[2], third);
    vst1q_u8(bytes + i, vqtbx4q_u8(found, parts[3], fourth));
  }
  for (; i < count; ++i) bytes[i] = table[bytes[i]];
}

inline void store(std::uint8_t* to, int8x16_t bytes) { vst1q_s8(reinterpret_cast<std::int8_t*>(to), bytes); }
inline void store(std::uint8_t* to, int8x8_t bytes) { vst1_s8(reinterpret_cast<std::int8_t*>(to), bytes); }

}  // namespace
}  // namespace wayside::accel::cpu
