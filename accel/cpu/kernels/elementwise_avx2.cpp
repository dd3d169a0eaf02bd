// SPDX-License-Identifier: Apache-2.0
// Elementwise loops for AVX2: table lookup by shuffles, sums by 16-bit products or gathered tables, products.
#include "accel/cpu/kernels/elementwise.h"
#include "accel/cpu/kernels/window_maximum.h"
#include "accel/cpu/kernels/x86_ymm.h"

namespace wayside::accel::cpu {
namespace {

constexpr std::size_t kBytes = 32;

/// out = answers[in], a row of 16 answers at a time: a shuffle gives 0 where the index is negative, and an index that
/// has passed its row stays negative by saturation, so that each byte collects the steps of the rows up to its own.
template <int kVectors>
inline void lookup_vectors(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out) {
  const I row_size = _mm256_set1_epi8(16);
  const I sign = _mm256_set1_epi8(static_cast<char>(0x80));
  I found[kVectors];
  I index[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    found[v] = _mm256_setzero_si256();
    index[v] = load(in + (v * kBytes));
  }
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* steps = rows.steps.data() + (half * 128);
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
      const I row = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(steps + (16 * k))));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        found[v] = _mm256_xor_si256(found[v], _mm256_shuffle_epi8(row, index[v]));
        index[v] = _mm256_subs_epi8(index[v], row_size);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) index[v] = _mm256_xor_si256(load(in + (v * kBytes)), sign);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) store(out + (v * kBytes), found[v]);
}

void lookup(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + (4 * kBytes) <= count; i += 4 * kBytes) lookup_vectors<4>(rows, in + i, out + i);
  for (; i + kBytes <= count; i += kBytes) lookup_vectors<1>(rows, in + i, out + i);
  for (; i < count; ++i) out[i] = rows.answers[in[i]];
}

/// Calls body(a, b, out) for whole vectors, the rest through buffers.
template <class Args, class Body>
inline void for_each_vector(const Args& args, const Body& body) {
  std::size_t i = 0;
  for (; i + kBytes <= args.count; i += kBytes) body(args.a + i, args.b + i, args.out + i);
  if (i == args.count) return;
  alignas(kBytes) std::uint8_t rest[3][kBytes] = {};
  std::memcpy(rest[0], args.a + i, args.count - i);
  std::memcpy(rest[1], args.b + i, args.count - i);
  body(rest[0], rest[1], rest[2]);
  std::memcpy(args.out + i, rest[2], args.count - i);
}

inline I pair_of(std::int16_t even, std::int16_t odd) {
  const auto low = static_cast<std::uint16_t>(even);
  const auto high = static_cast<std::uint32_t>(static_cast<std::uint16_t>(odd)) << 16;
  return _mm256_set1_epi32(static_cast<std::int32_t>(high | low));
}

void linear_sum(const LinearSumArgs& args) {
  const auto& form = args.form;
  const I high = pair_of(form.high_a, form.high_b), low = pair_of(form.low_a, form.low_b);
  const I offset = _mm256_set1_epi32(form.offset), zero = _mm256_setzero_si256();
  const I flip = _mm256_set1_epi8(static_cast<char>(args.flip));
  const I least = _mm256_set1_epi8(args.clamp_min), most = _mm256_set1_epi8(args.clamp_max);
  const __m128i shift = _mm_cvtsi32_si128(form.shift);
  // Words a*256, b*256 of eight pairs.
  const auto scaled = [&](I words) {
    const I fine = _mm256_srai_epi32(_mm256_madd_epi16(words, low), 15);
    const I sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_madd_epi16(words, high), offset), fine);
    return _mm256_sra_epi32(sum, shift);
  };
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    const I bytes_a = _mm256_xor_si256(load(a), flip), bytes_b = _mm256_xor_si256(load(b), flip);
    const I first = _mm256_unpacklo_epi8(bytes_a, bytes_b), second = _mm256_unpackhi_epi8(bytes_a, bytes_b);
    const I words_0 =
        _mm256_packs_epi32(scaled(_mm256_unpacklo_epi8(zero, first)), scaled(_mm256_unpackhi_epi8(zero, first)));
    const I words_1 =
        _mm256_packs_epi32(scaled(_mm256_unpacklo_epi8(zero, second)), scaled(_mm256_unpackhi_epi8(zero, second)));
    const I bytes = _mm256_packs_epi16(words_0, words_1);
    store(out, _mm256_xor_si256(_mm256_min_epi8(_mm256_max_epi8(bytes, least), most), flip));
  });
}

/// Eight sums of table values.
inline I table_sum_8(const TableSumArgs& args, const std::uint8_t* a, const std::uint8_t* b) {
  const I index_a = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a)));
  const I index_b = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b)));
  return _mm256_add_epi32(_mm256_i32gather_epi32(args.table_a, index_a, 4),
                          _mm256_i32gather_epi32(args.table_b, index_b, 4));
}

template <RequantMode kMode>
void table_sum_all(const TableSumArgs& args) {
  const StageVectors stage(args.stage);
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    I sums[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] = table_sum_8(args, a + (8 * i), b + (8 * i));
    scale_sums<kMode, 4>(sums, args.requant, 0);
    const I bytes = to_bytes<kMode>(_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]), stage);
    store(out, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  });
}

void table_sum(const TableSumArgs& args) {
  with_integer_mode(args.stage.mode, [&]<RequantMode kMode>() { table_sum_all<kMode>(args); });
}

template <RequantMode kMode>
void product_all(const ProductArgs& args) {
  const StageVectors stage(args.stage);
  const __m128i flip = _mm_set1_epi8(static_cast<char>(args.flip));
  const I zero_a = _mm256_set1_epi16(args.zero_a), zero_b = _mm256_set1_epi16(args.zero_b);
  const auto widen = [&](const std::uint8_t* from, I zero) {
    const __m128i bytes = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), flip);
    return _mm256_sub_epi16(_mm256_cvtepi8_epi16(bytes), zero);
  };
  for_each_vector(args, [&](const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    I products[4];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const I words_a = widen(a + (16 * i), zero_a), words_b = widen(b + (16 * i), zero_b);
      const I low = _mm256_mullo_epi16(words_a, words_b), high = _mm256_mulhi_epi16(words_a, words_b);
      products[2 * i] = _mm256_unpacklo_epi16(low, high);
      products[(2 * i) + 1] = _mm256_unpackhi_epi16(low, high);
    }
    scale_sums<kMode, 4>(products, args.requant, 0);
    const I bytes = to_bytes<kMode>(_mm256_packs_epi32(products[0], products[1]),
                                    _mm256_packs_epi32(products[2], products[3]), stage);
    store(out, _mm256_permute4x64_epi64(bytes, 0xD8));
  });
}

void product(const ProductArgs& args) {
  with_integer_mode(args.stage.mode, [&]<RequantMode kMode>() { product_all<kMode>(args); });
}

}  // namespace

ElementwiseIsa elementwise_avx2() {
  return {.lookup = lookup,
          .linear_sum = linear_sum,
          .table_sum = table_sum,
          .product = product,
          .maximum = window_maximum_bytes<32>};
}

}  // namespace wayside::accel::cpu
