// SPDX-License-Identifier: Apache-2.0
// Arm dot product (Cortex-A76): SDOT, s8 activations times s8 weights, four at a time, exact in int32.
#include "accel/cpu/kernels/arm_neon.h"

namespace wayside::accel::cpu {
namespace {

class SignedDot {
 public:
  static constexpr std::size_t kElementBytes = 1;
  static constexpr std::size_t kSlots = 4;

  SignedDot(std::uint8_t flip, std::int16_t /*zero_point*/) : flip_(vdupq_n_u8(flip)) {}

  /// Accumulators must leave room for the activations of all rows and one vector of weights: 24 + 6 + 2 of 32
  /// registers.
  template <int kVectors>
  static constexpr std::size_t kMaxRows = kVectors == 4 ? 5 : 8;

  /// sums[r][v] += rows[r][k] * weights[k][v], 16 bytes of each row at a time, multiplied by element.
  template <int kVectors, int kRows>
  [[gnu::always_inline]] static void add_products(int32x4_t (&sums)[kRows][kVectors],
                                                  const std::uint8_t* const (&rows)[kRows], const std::byte* weights,
                                                  std::size_t k_bytes) {
    const std::size_t whole = k_bytes / 16 * 16;
    std::size_t k = 0;
    for (; k != whole; k += 16, weights += 4 * kGroupBytes) {
      int8x16_t a[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) a[r] = vreinterpretq_s8_u8(vld1q_u8(rows[r] + k));
      add_group<0>(sums, a, weights);
      add_group<1>(sums, a, weights + kGroupBytes);
      add_group<2>(sums, a, weights + (2 * kGroupBytes));
      add_group<3>(sums, a, weights + (3 * kGroupBytes));
    }
    for (; k < k_bytes; k += 4, weights += kGroupBytes) {
      int8x16_t a[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        std::int32_t four;
        std::memcpy(&four, rows[r] + k, sizeof four);
        a[r] = vreinterpretq_s8_s32(vdupq_n_s32(four));
      }
      add_group<0>(sums, a, weights);
    }
  }
  static void add_lanes(int32x4_t (&sums)[4], const std::byte* activations, const std::byte* weights) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      sums[i] = vdotq_s32(sums[i], load(activations + (i * 16)), load(weights + (i * 16)));
    }
  }

  template <class Source>
  void interleave(std::byte* to, Source source) const {
    const uint8x16_t r0 = veorq_u8(source(0), flip_);
    const uint8x16_t r1 = veorq_u8(source(1), flip_);
    const uint8x16_t r2 = veorq_u8(source(2), flip_);
    const uint8x16_t r3 = veorq_u8(source(3), flip_);
    const uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(r0, r1));
    const uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(r0, r1));
    const uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(r2, r3));
    const uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(r2, r3));
    auto* at = reinterpret_cast<std::uint16_t*>(to);
    vst1q_u16(at, vzip1q_u16(low01, low23));
    vst1q_u16(at + 8, vzip2q_u16(low01, low23));
    vst1q_u16(at + 16, vzip1q_u16(high01, high23));
    vst1q_u16(at + 24, vzip2q_u16(high01, high23));
  }

  static void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                      std::int16_t /*zero_point*/) {
    flip_bytes(to, from, count, flip);
  }

 private:
  static constexpr std::size_t kGroupBytes = kBlockLanes * 4;

  template <int kGroup, int kVectors, int kRows>
  [[gnu::always_inline]] static void add_group(int32x4_t (&sums)[kRows][kVectors], const int8x16_t (&a)[kRows],
                                               const std::byte* weights) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int8x16_t w = load(weights + (v * 16));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sums[r][v] = vdotq_laneq_s32(sums[r][v], w, a[r], kGroup);
    }
  }
  static int8x16_t load(const std::byte* from) { return vreinterpretq_s8_u8(vld1q_u8(bytes_of(from))); }

  uint8x16_t flip_;
};

void row_sums(std::int32_t* sums, const std::uint8_t* const* rows, std::size_t row_count, std::size_t byte_count,
              std::int32_t scale, bool /*slack*/) {
  for (std::size_t row = 0; row < row_count; ++row) {
    const auto* bytes = reinterpret_cast<const std::int8_t*>(rows[row]);
    int32x4_t sum = vdupq_n_s32(0);
    std::size_t i = 0;
    for (; i + 16 <= byte_count; i += 16) sum = vdotq_s32(sum, vld1q_s8(bytes + i), vdupq_n_s8(1));
    std::int32_t total = vaddvq_s32(sum);
    for (; i < byte_count; ++i) total += bytes[i];
    sums[row] = scale * total;
  }
}

}  // namespace

const Isa& neon_dot_isa() {
  static const Isa isa = [] {
    Isa made = make_isa<SignedDot>(Level::neon_dot);
    made.row_sums = row_sums;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
