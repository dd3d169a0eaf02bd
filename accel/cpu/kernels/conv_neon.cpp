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

}  // namespace

const Isa& neon_isa() {
  static const Isa isa = make_isa<WordDot>(Level::neon);
  return isa;
}

}  // namespace wayside::accel::cpu
