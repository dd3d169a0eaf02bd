// SPDX-License-Identifier: Apache-2.0
// Elementwise loops for NEON: table lookup, sums by 16-bit products or by table, products.
#include "accel/cpu/kernels/arm_requant.h"
#include "accel/cpu/kernels/elementwise.h"
#include "accel/cpu/kernels/window_maximum.h"

#include <arm_neon.h>

#include <cstring>

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

/// Calls body(a, b, out) for whole vectors, the rest through buffers.
template <class Args, class Body>
inline void for_each_vector(const Args& args, const Body& body) {
  const std::uint8_t *a = args.a, *b = args.b;
  std::uint8_t* out = args.out;
  const std::size_t rest = args.count % kBytes, whole = args.count - rest;
  for (std::size_t i = 0; i < whole; i += kBytes) body(a + i, b + i, out + i);
  if (rest == 0) return;
  std::uint8_t buffer[3][kBytes] = {};
  std::memcpy(buffer[0], a + whole, rest);
  std::memcpy(buffer[1], b + whole, rest);
  body(buffer[0], buffer[1], buffer[2]);
  std::memcpy(out + whole, buffer[2], rest);
}

inline int8x16_t load(const std::uint8_t* from, uint8x16_t flip) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from), flip));
}

struct SumVectors {
  int16x8_t high_a, low_a, high_b, low_b;
  int32x4_t offset;
  int16x8_t right;
};

/// Eight sums; a and b are bytes times 256. The first 16 bits of the shift come with the addition of the offset.
inline int16x8_t sum_8(const SumVectors& v, int16x8_t a, int16x8_t b) {
  const int16x4_t a_low = vget_low_s16(a), b_low = vget_low_s16(b);
  const int32x4_t fine_0 = vmlal_s16(vmull_s16(a_low, vget_low_s16(v.low_a)), b_low, vget_low_s16(v.low_b));
  const int32x4_t fine_1 = vmlal_high_s16(vmull_high_s16(a, v.low_a), b, v.low_b);
  const int32x4_t coarse_0 = vmlal_s16(vmull_s16(a_low, vget_low_s16(v.high_a)), b_low, vget_low_s16(v.high_b));
  const int32x4_t coarse_1 = vmlal_high_s16(vmull_high_s16(a, v.high_a), b, v.high_b);
  const int16x4_t sum_0 = vaddhn_s32(vsraq_n_s32(coarse_0, fine_0, 15), v.offset);
  return vshlq_s16(vaddhn_high_s32(sum_0, vsraq_n_s32(coarse_1, fine_1, 15), v.offset), v.right);
}

template <bool kSaturates>
void linear_sum_all(const LinearSumArgs& args) {
  const auto& form = args.form;
  const SumVectors v{.high_a = vdupq_n_s16(form.high_a),
                     .low_a = vdupq_n_s16(form.low_a),
                     .high_b = vdupq_n_s16(form.high_b),
                     .low_b = vdupq_n_s16(form.low_b),
                     .offset = vdupq_n_s32(form.offset),
                     .right = vdupq_n_s16(static_cast<std::int16_t>(16 - form.shift))};
  const int8x16_t least = vdupq_n_s8(args.clamp_min), most = vdupq_n_s8(args.clamp_max);
  const uint8x16_t flip = vdupq_n_u8(kSaturates ? 0 : args.flip);
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    const int8x16_t bytes_a = load(a, flip), bytes_b = load(b, flip);
    const int16x8_t low = sum_8(v, vshll_n_s8(vget_low_s8(bytes_a), 8), vshll_n_s8(vget_low_s8(bytes_b), 8));
    const int16x8_t high = sum_8(v, vshll_high_n_s8(bytes_a, 8), vshll_high_n_s8(bytes_b, 8));
    int8x16_t sums = vqmovn_high_s16(vqmovn_s16(low), high);
    if constexpr (!kSaturates) sums = vminq_s8(vmaxq_s8(sums, least), most);
    vst1q_u8(out, veorq_u8(vreinterpretq_u8_s8(sums), flip));
  });
}

void linear_sum(const LinearSumArgs& args) {
  // Narrowing saturates: the usual sum of signed bytes needs no clamps.
  if (args.flip == 0 && args.clamp_min == -128 && args.clamp_max == 127) {
    linear_sum_all<true>(args);
  } else {
    linear_sum_all<false>(args);
  }
}

/// Four values of a table, lane by lane: there is no gather.
inline int32x4_t values_4(const std::int32_t* table, const std::uint8_t* bytes) {
  int32x4_t values = vld1q_dup_s32(table + bytes[0]);
  values = vld1q_lane_s32(table + bytes[1], values, 1);
  values = vld1q_lane_s32(table + bytes[2], values, 2);
  return vld1q_lane_s32(table + bytes[3], values, 3);
}

template <RequantMode kMode>
void table_sum_all(const TableSumArgs& args) {
  const StageVectors stage(args.stage);
  const ScaleVectors<kMode> scale(*args.requant, 0);
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    int32x4_t sums[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = scale(vaddq_s32(values_4(args.table_a, a + (4 * i)), values_4(args.table_b, b + (4 * i))));
    }
    vst1q_s8(reinterpret_cast<std::int8_t*>(out), stage.narrow(sums[0], sums[1], sums[2], sums[3]));
  });
}

void table_sum(const TableSumArgs& args) {
  with_integer_mode(args.stage.mode, [&]<RequantMode kMode>() { table_sum_all<kMode>(args); });
}

template <RequantMode kMode>
void product_all(const ProductArgs& args) {
  const StageVectors stage(args.stage);
  const ScaleVectors<kMode> scale(*args.requant, 0);
  const uint8x16_t flip = vdupq_n_u8(args.flip);
  const int16x8_t zero_a = vdupq_n_s16(args.zero_a), zero_b = vdupq_n_s16(args.zero_b);
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    const int8x16_t bytes_a = load(a, flip), bytes_b = load(b, flip);
    const int16x8_t a_0 = vsubq_s16(vmovl_s8(vget_low_s8(bytes_a)), zero_a);
    const int16x8_t b_0 = vsubq_s16(vmovl_s8(vget_low_s8(bytes_b)), zero_b);
    const int16x8_t a_1 = vsubq_s16(vmovl_high_s8(bytes_a), zero_a), b_1 = vsubq_s16(vmovl_high_s8(bytes_b), zero_b);
    const int8x16_t bytes =
        stage.narrow(scale(vmull_s16(vget_low_s16(a_0), vget_low_s16(b_0))), scale(vmull_high_s16(a_0, b_0)),
                     scale(vmull_s16(vget_low_s16(a_1), vget_low_s16(b_1))), scale(vmull_high_s16(a_1, b_1)));
    vst1q_s8(reinterpret_cast<std::int8_t*>(out), bytes);
  });
}

void product(const ProductArgs& args) {
  with_integer_mode(args.stage.mode, [&]<RequantMode kMode>() { product_all<kMode>(args); });
}

}  // namespace

ElementwiseIsa elementwise_neon() {
  return {.lookup = lookup,
          .linear_sum = linear_sum,
          .table_sum = table_sum,
          .product = product,
          .maximum = window_maximum_bytes<16>};
}

}  // namespace wayside::accel::cpu
