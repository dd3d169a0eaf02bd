// SPDX-License-Identifier: Apache-2.0
// Arm 8-bit matrix product (Armv8.6): SMMLA multiplies two rows of eight bytes with two channels of eight, exact in
// int32.
#include "accel/cpu/kernels/arm_neon.h"

namespace wayside::accel::cpu {
namespace {

class MatrixDot {
 public:
  /// Sums of row pairs times channel pairs: 16 (or 24) registers, and what one step needs.
  template <int kVectors>
  static constexpr std::size_t kMaxRows = kVectors == 4 ? 4 : 8;

  template <int kVectors, int kRows>
  [[gnu::always_inline]] static void add_products(int32x4_t (&sums)[kRows][kVectors],
                                                  const std::uint8_t* const (&rows)[kRows], const std::byte* weights,
                                                  std::size_t k_bytes) {
    constexpr std::size_t kGroupBytes = kBlockLanes * 4;
    constexpr int kPairs = (kRows + 1) / 2;
    int32x4_t products[kPairs][2 * kVectors];  ///< [row 0: channels 2i, 2i + 1; row 1: the same]
    for (auto& pair : products) {
      for (auto& product : pair) product = vdupq_n_s32(0);
    }
    // The last k_group is left over where their number is odd: its second half counts as zeros.
    for (std::size_t k = 0; k < k_bytes; k += 8, weights += 2 * kGroupBytes) {
      const bool whole = k + 8 <= k_bytes;
      int8x16_t a[kPairs];
#pragma GCC unroll 4
      for (int p = 0; p < kPairs; ++p) {
        const int second = (2 * p) + 1 < kRows ? (2 * p) + 1 : 2 * p;
        a[p] = vcombine_s8(load_row(rows[2 * p] + k, whole), load_row(rows[second] + k, whole));
      }
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int32x4_t first = load(weights + (v * 16));
        const int32x4_t next = whole ? load(weights + kGroupBytes + (v * 16)) : vdupq_n_s32(0);
        const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(first, next));
        const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(first, next));
#pragma GCC unroll 4
        for (int p = 0; p < kPairs; ++p) {
          products[p][2 * v] = vmmlaq_s32(products[p][2 * v], a[p], low);
          products[p][(2 * v) + 1] = vmmlaq_s32(products[p][(2 * v) + 1], a[p], high);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int64x2_t low = vreinterpretq_s64_s32(products[r / 2][2 * v]);
        const int64x2_t high = vreinterpretq_s64_s32(products[r / 2][(2 * v) + 1]);
        const int64x2_t row = r % 2 == 0 ? vzip1q_s64(low, high) : vzip2q_s64(low, high);
        sums[r][v] = vaddq_s32(sums[r][v], vreinterpretq_s32_s64(row));
      }
    }
  }

 private:
  static int32x4_t load(const std::byte* from) { return vreinterpretq_s32_u8(vld1q_u8(bytes_of(from))); }
  /// Eight bytes, or four and four zeros.
  static int8x8_t load_row(const std::uint8_t* from, bool whole) {
    if (whole) return vreinterpret_s8_u8(vld1_u8(from));
    std::uint32_t four;
    std::memcpy(&four, from, sizeof four);
    return vcreate_s8(four);
  }
};

}  // namespace

const Isa& neon_i8mm_isa() {
  static const Isa isa = [] {
    Isa made = neon_dot_isa();
    made.level = Level::neon_i8mm;
    made.gemm = gemm<MatrixDot>;
    made.depthwise = nullptr;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
