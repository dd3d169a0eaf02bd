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

  /// pairs[i].val[k] holds the k-th weight of channels 8i .. 8i + 7.
  template <int kVectors>
  struct Weights {
    int16x8x2_t pairs[kVectors / 2];
  };
  template <int kVectors>
  static Weights<kVectors> load_weights(const std::byte* from) {
    Weights<kVectors> weights;
#pragma GCC unroll 2
    for (int i = 0; i < kVectors / 2; ++i) weights.pairs[i] = load_pairs(from + (i * 32));
    return weights;
  }
  template <int kVectors>
  static void add_row(int32x4_t (&sums)[kVectors], const std::uint8_t* activations, const Weights<kVectors>& weights) {
    std::int32_t two;
    std::memcpy(&two, activations, sizeof two);
    const int16x4_t a = vreinterpret_s16_s32(vdup_n_s32(two));
#pragma GCC unroll 2
    for (int i = 0; i < kVectors / 2; ++i) {
      const auto& pair = weights.pairs[i];
      sums[2 * i] = vmlal_lane_s16(sums[2 * i], vget_low_s16(pair.val[0]), a, 0);
      sums[(2 * i) + 1] = vmlal_high_lane_s16(sums[(2 * i) + 1], pair.val[0], a, 0);
      sums[2 * i] = vmlal_lane_s16(sums[2 * i], vget_low_s16(pair.val[1]), a, 1);
      sums[(2 * i) + 1] = vmlal_high_lane_s16(sums[(2 * i) + 1], pair.val[1], a, 1);
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
