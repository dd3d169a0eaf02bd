// SPDX-License-Identifier: Apache-2.0
// Elementwise loops for NEON: table lookup and sums by 16-bit products.
#include <arm_neon.h>

#include <cstring>

#include "accel/cpu/kernels/elementwise.h"

namespace wayside::accel::cpu {
namespace {

constexpr std::size_t kBytes = 16;

void lookup(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out, std::size_t count) {
  // TBX leaves bytes whose index is beyond its 64 as they are.
  const uint8x16x4_t t0 = vld1q_u8_x4(rows.answers.data()), t1 = vld1q_u8_x4(rows.answers.data() + 64);
  const uint8x16x4_t t2 = vld1q_u8_x4(rows.answers.data() + 128), t3 = vld1q_u8_x4(rows.answers.data() + 192);
  const uint8x16_t step = vdupq_n_u8(64);
  std::size_t i = 0;
  for (; i + kBytes <= count; i += kBytes) {
    uint8x16_t index = vld1q_u8(in + i);
    uint8x16_t found = vqtbl4q_u8(t0, index);
    found = vqtbx4q_u8(found, t1, index = vsubq_u8(index, step));
    found = vqtbx4q_u8(found, t2, index = vsubq_u8(index, step));
    found = vqtbx4q_u8(found, t3, vsubq_u8(index, step));
    vst1q_u8(out + i, found);
  }
  for (; i < count; ++i) out[i] = rows.answers[in[i]];
}

struct SumVectors {
  int16x4_t high_a, low_a, high_b, low_b;
  int32x4_t offset, right;
  int8x16_t least, most;
  uint8x16_t flip;
};

inline int32x4_t scaled(const SumVectors& v, int16x4_t a, int16x4_t b) {
  const int32x4_t fine = vshrq_n_s32(vmlal_s16(vmull_s16(a, v.low_a), b, v.low_b), 15);
  const int32x4_t coarse = vmlal_s16(vmlal_s16(v.offset, a, v.high_a), b, v.high_b);
  return vshlq_s32(vaddq_s32(coarse, fine), v.right);
}

inline int8x8_t sum_8(const SumVectors& v, int8x8_t a, int8x8_t b) {
  const int16x8_t wide_a = vshlq_n_s16(vmovl_s8(a), 8), wide_b = vshlq_n_s16(vmovl_s8(b), 8);
  const int32x4_t low = scaled(v, vget_low_s16(wide_a), vget_low_s16(wide_b));
  const int32x4_t high = scaled(v, vget_high_s16(wide_a), vget_high_s16(wide_b));
  return vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high)));
}

inline void sum_16(const SumVectors& v, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
  const int8x16_t bytes_a = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(a), v.flip));
  const int8x16_t bytes_b = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(b), v.flip));
  const int8x16_t sums = vcombine_s8(sum_8(v, vget_low_s8(bytes_a), vget_low_s8(bytes_b)),
                                     sum_8(v, vget_high_s8(bytes_a), vget_high_s8(bytes_b)));
  const int8x16_t clamped = vminq_s8(vmaxq_s8(sums, v.least), v.most);
  vst1q_u8(out, veorq_u8(vreinterpretq_u8_s8(clamped), v.flip));
}

void linear_sum(const LinearSumArgs& args) {
  const auto& form = args.form;
  const SumVectors v{.high_a = vdup_n_s16(form.high_a),
                     .low_a = vdup_n_s16(form.low_a),
                     .high_b = vdup_n_s16(form.high_b),
                     .low_b = vdup_n_s16(form.low_b),
                     .offset = vdupq_n_s32(form.offset),
                     .right = vdupq_n_s32(-form.shift),
                     .least = vdupq_n_s8(args.clamp_min),
                     .most = vdupq_n_s8(args.clamp_max),
                     .flip = vdupq_n_u8(args.flip)};
  std::size_t i = 0;
  for (; i + kBytes <= args.count; i += kBytes) sum_16(v, args.a + i, args.b + i, args.out + i);
  if (i == args.count) return;
  std::uint8_t rest[3][kBytes] = {};
  std::memcpy(rest[0], args.a + i, args.count - i);
  std::memcpy(rest[1], args.b + i, args.count - i);
  sum_16(v, rest[0], rest[1], rest[2]);
  std::memcpy(args.out + i, rest[2], args.count - i);
}

}  // namespace

ElementwiseIsa elementwise_neon() { return {.lookup = lookup, .linear_sum = linear_sum, .product = nullptr}; }

}  // namespace wayside::accel::cpu
