// SPDX-License-Identifier: Apache-2.0
// Plain NEON (Cortex-A57): SMLAL on 16-bit values with the zero points already subtracted; exact in int32.
#include "accel/cpu/kernels/arm_neon.h"

namespace wayside::accel::cpu {
namespace {

class WordDot {
 public:
  static constexpr std::size_t kElementBytes = 2;
  static constexpr std::size_t kSlots = 2;

  WordDot(std::uint8_t flip, std::int16_t zero_point) : flip_(vdupq_n_u8(flip)), zero_point_(vdupq_n_s16(zero_point)) {}

  template <int kVectors>
  static constexpr std::size_t kMaxRows = kVectors == 4 ? 5 : 6;

  template <int kVectors, int kRows>
  [[gnu::always_inline]] static void add_products(int32x4_t (&sums)[kRows][kVectors],
                                                  const std::uint8_t* const (&rows)[kRows], const std::byte* weights,
                                                  std::size_t k_bytes) {
    for (std::size_t k = 0; k < k_bytes; k += 4, weights += kBlockLanes * 4) {
      int16x4_t a[kRows];
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        std::int32_t two;
        std::memcpy(&two, rows[r] + k, sizeof two);
        a[r] = vreinterpret_s16_s32(vdup_n_s32(two));
      }
#pragma GCC unroll 2
      for (int i = 0; i < kVectors / 2; ++i) {
        const int16x8x2_t w = load_pairs(weights + (i * 32));
#pragma GCC unroll 6
        for (int r = 0; r < kRows; ++r) {
          auto& low = sums[r][2 * i];
          auto& high = sums[r][(2 * i) + 1];
          low = vmlal_lane_s16(low, vget_low_s16(w.val[0]), a[r], 0);
          high = vmlal_high_lane_s16(high, w.val[0], a[r], 0);
          low = vmlal_lane_s16(low, vget_low_s16(w.val[1]), a[r], 1);
          high = vmlal_high_lane_s16(high, w.val[1], a[r], 1);
        }
      }
    }
  }
  static void add_lanes(int32x4_t (&sums)[4], const std::byte* activations, const std::byte* weights) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int16x8x2_t a = load_pairs(activations + (i * 32));
      const int16x8x2_t w = load_pairs(weights + (i * 32));
#pragma GCC unroll 2
      for (int slot = 0; slot < 2; ++slot) {
        sums[2 * i] = vmlal_s16(sums[2 * i], vget_low_s16(a.val[slot]), vget_low_s16(w.val[slot]));
        sums[(2 * i) + 1] = vmlal_high_s16(sums[(2 * i) + 1], a.val[slot], w.val[slot]);
      }
    }
  }

  template <class Source>
  void interleave(std::byte* to, Source source) const {
    const uint8x16_t first = veorq_u8(source(0), flip_);
    const uint8x16_t second = veorq_u8(source(1), flip_);
    auto* at = reinterpret_cast<std::int16_t*>(to);
    vst2q_s16(at, {{widen(vget_low_u8(first)), widen(vget_low_u8(second))}});
    vst2q_s16(at + 16, {{widen(vget_high_u8(first)), widen(vget_high_u8(second))}});
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t zero_point) {
    const WordDot dot(flip, zero_point);
    std::size_t i = 0;
    for (; i + 16 <= count; i += 16) {
      const uint8x16_t bytes = veorq_u8(vld1q_u8(from + i), dot.flip_);
      vst1q_u8(to + (2 * i), vreinterpretq_u8_s16(dot.widen(vget_low_u8(bytes))));
      vst1q_u8(to + (2 * i) + 16, vreinterpretq_u8_s16(dot.widen(vget_high_u8(bytes))));
    }
    for (; i < count; ++i) {
      const auto value = static_cast<std::int16_t>((from[i] ^ flip) - zero_point);
      std::memcpy(to + (2 * i), &value, sizeof value);
    }
  }

 private:
  static int16x8x2_t load_pairs(const std::byte* from) {
    return vld2q_s16(reinterpret_cast<const std::int16_t*>(from));
  }
  [[nodiscard]] int16x8_t widen(uint8x8_t bytes) const {
    return vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(bytes)), zero_point_);
  }

  uint8x16_t flip_;
  int16x8_t zero_point_;
};

/// s8 times s8: two products are summed in 16 bits before they are widened. Only two weights of -128 would overflow
/// that (2 * 128 * 128); the kernel list refuses layers where two of them meet.
class ByteDot {
 public:
  /// Two partial sums per channel: 16 + 4 + 2 + 2 of 32 registers.
  template <int kVectors>
  static constexpr std::size_t kMaxRows = kVectors == 4 ? 2 : 4;

  template <int kVectors, int kRows>
  [[gnu::always_inline]] static void add_products(int32x4_t (&sums)[kRows][kVectors],
                                                  const std::uint8_t* const (&rows)[kRows], const std::byte* weights,
                                                  std::size_t k_bytes) {
    int32x4_t partial[kRows][2 * kVectors];  ///< [channel 2i: even pairs, odd pairs; channel 2i + 1: ...]
    for (auto& row : partial) {
      for (auto& sum : row) sum = vdupq_n_s32(0);
    }
    std::size_t k = 0;
    for (; k + 16 <= k_bytes; k += 16, weights += 4 * kGroupBytes) {
      int8x16_t a[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        a[r] = vreinterpretq_s8_u8(vld1q_u8(rows[r] + k));
        keep_in_register(a[r]);
      }
      add_groups<0>(partial, a, weights);
      add_groups<2>(partial, a, weights + (2 * kGroupBytes));
    }
    if (k + 8 <= k_bytes) {
      int8x16_t a[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        a[r] = vcombine_s8(vreinterpret_s8_u8(vld1_u8(rows[r] + k)), vdup_n_s8(0));
        keep_in_register(a[r]);
      }
      add_groups<0>(partial, a, weights);
      k += 8;
      weights += 2 * kGroupBytes;
    }
    if (k < k_bytes) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        std::int32_t four;
        std::memcpy(&four, rows[r] + k, sizeof four);
        const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four));
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          const int8x16_t w = load(weights + (v * 16));
          partial[r][2 * v] = vpadalq_s16(partial[r][2 * v], vmull_s8(vget_low_s8(w), vget_low_s8(a)));
          partial[r][(2 * v) + 1] = vpadalq_s16(partial[r][(2 * v) + 1], vmull_high_s8(w, a));
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = vaddq_s32(sums[r][v], vpaddq_s32(partial[r][2 * v], partial[r][(2 * v) + 1]));
      }
    }
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t /*zero_point*/) {
    flip_bytes(to, from, count, flip);
  }

  static void row_sums(std::int32_t* sums, const std::uint8_t* const* rows, std::size_t row_count,
                       std::size_t byte_count, std::int32_t scale, bool /*slack*/) {
    for (std::size_t row = 0; row < row_count; ++row) {
      const auto* bytes = reinterpret_cast<const std::int8_t*>(rows[row]);
      int32x4_t sum = vdupq_n_s32(0);
      std::size_t i = 0;
      for (; i + 16 <= byte_count; i += 16) sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(bytes + i)));
      std::int32_t total = vaddvq_s32(sum);
      for (; i < byte_count; ++i) total += bytes[i];
      sums[row] = scale * total;
    }
  }

 private:
  static constexpr std::size_t kGroupBytes = kBlockLanes * 4;

  /// The compiler would load each element again where it is repeated.
  [[gnu::always_inline]] static void keep_in_register(int8x16_t& value) { asm("" : "+w"(value)); }

  /// Adds k_groups kGroup and kGroup + 1 of the 16 bytes of each row.
  template <int kGroup, int kSums, int kRows>
  [[gnu::always_inline]] static void add_groups(int32x4_t (&partial)[kRows][kSums], const int8x16_t (&a)[kRows],
                                                const std::byte* weights) {
    int8x16_t first[kRows], second[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      first[r] = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(a[r]), kGroup));
      second[r] = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(a[r]), kGroup + 1));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kSums / 2; ++v) {
      const int8x16_t w = load(weights + (v * 16));
      const int8x16_t next = load(weights + kGroupBytes + (v * 16));
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(first[r]));
        auto& sum = partial[r][2 * v];
        sum = vpadalq_s16(sum, vmlal_s8(low, vget_low_s8(next), vget_low_s8(second[r])));
        const int16x8_t high = vmull_high_s8(w, first[r]);
        auto& high_sum = partial[r][(2 * v) + 1];
        high_sum = vpadalq_s16(high_sum, vmlal_high_s8(high, next, second[r]));
      }
    }
  }

  static int8x16_t load(const std::byte* from) { return vreinterpretq_s8_u8(vld1q_u8(bytes_of(from))); }
};

}  // namespace

const Isa& neon_bytes_isa() {
  static const Isa isa = [] {
    Isa made;
    made.level = Level::neon;
    made.signed_activations = true;
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
      made.gemm_channel[lane] = made.gemm_half_channel[lane] = static_cast<std::uint8_t>(lane);
    }
    made.gemm = gemm<ByteDot>;
    made.convert = ByteDot::convert;
    made.row_sums = ByteDot::row_sums;
    made.replace_bytes = replace_bytes;
    return made;
  }();
  return isa;
}

const Isa& neon_isa() {
  static const Isa isa = make_isa<WordDot>(Level::neon);
  return isa;
}

}  // namespace wayside::accel::cpu
