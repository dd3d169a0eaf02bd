// SPDX-License-Identifier: Apache-2.0
// The seam between elementwise operators on bytes and the loops of one instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {

/// A sum of two tables (TableSumSpec) as integer arithmetic without tables:
///   s(a,b) = 256*(a*high_a + b*high_b) + floor(256*(a*low_a + b*low_b) / 2^15) + offset
///   out = clamp(s >> shift) ^ flip,  a and b being the input bytes ^ flip as s8,
/// every part within int32. A slope is high*2^15 + low: products of 16 bits give it 29 bits of precision.
struct LinearSum {
  std::int16_t high_a = 0, low_a = 0, high_b = 0, low_b = 0;
  std::int32_t offset = 0;
  std::int32_t shift = 0;  ///< 16 to 23
};

/// Nothing unless the form gives the table sum's result for every pair of bytes: pairs whose result is so near to a
/// step that the two could differ are compared one by one, and `offset` is moved within its error to satisfy them.
[[nodiscard]] std::optional<LinearSum> find_linear_sum(const TableSumSpec& spec);

/// What find_linear_sum() answered, kept from one load to the next.
struct SumForm {
  bool exists = false;
  LinearSum linear;
};
/// Searches only where kernels of `level` can use what is found.
[[nodiscard]] SumForm find_sum_form(const TableSumSpec& spec, Level level);

struct LinearSumArgs {
  const std::uint8_t* a = nullptr;
  const std::uint8_t* b = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t count = 0;
  LinearSum form;
  std::int8_t clamp_min = -128, clamp_max = 127;
  std::uint8_t flip = 0;  ///< 0x80 for unsigned bytes, on both sides
};

/// out[i] = stage(table_a[a[i]] + table_b[b[i]]), i in [0, count); all lanes of `requant` are alike.
struct TableSumArgs {
  const std::uint8_t* a = nullptr;
  const std::uint8_t* b = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t count = 0;
  const std::int32_t* table_a = nullptr;
  const std::int32_t* table_b = nullptr;
  const RequantBlock* requant = nullptr;
  OutputStage stage;
};

/// out[i] = stage((a[i] - zero_a) * (b[i] - zero_b)), bytes ^ flip as s8; all lanes of `requant` are alike.
struct ProductArgs {
  const std::uint8_t* a = nullptr;
  const std::uint8_t* b = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t count = 0;
  std::int16_t zero_a = 0, zero_b = 0;
  std::uint8_t flip = 0;
  const RequantBlock* requant = nullptr;
  OutputStage stage;
};

/// Calls work.operator()<mode>() with the stage's mode as a constant. Sums by table and products have no
/// single-precision stages: for those nothing is done.
template <class Work>
void with_integer_mode(RequantMode mode, const Work& work) {
  switch (mode) {
    case RequantMode::floating:
    case RequantMode::floating_signed:
    case RequantMode::precise:
    case RequantMode::precise_signed: return;
    case RequantMode::rectified: work.template operator()<RequantMode::rectified>(); return;
    case RequantMode::symmetric: work.template operator()<RequantMode::symmetric>(); return;
    case RequantMode::general: work.template operator()<RequantMode::general>(); return;
  }
}

/// A table of 256 answers and its forms for shuffles of 16 bytes: row k of `steps` is answers[16k..16k+15] xor those of
/// the row before, rows 0 and 8 as they are.
struct alignas(64) LookupRows {
  std::array<std::uint8_t, 256> answers{};
  std::array<std::uint8_t, 256> steps{};
};

/// What one instruction set offers; members may be null. All write nothing beyond `count` and may work in place.
struct ElementwiseIsa {
  void (*lookup)(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out, std::size_t count) = nullptr;
  void (*linear_sum)(const LinearSumArgs& args) = nullptr;
  void (*table_sum)(const TableSumArgs& args) = nullptr;
  void (*product)(const ProductArgs& args) = nullptr;
  MaximumFunction maximum = nullptr;
};

/// The best of this build and processor that `level` allows.
[[nodiscard]] ElementwiseIsa elementwise_isa(Level level);

#if defined(__x86_64__)
[[nodiscard]] ElementwiseIsa elementwise_avx2();
[[nodiscard]] ElementwiseIsa elementwise_avx512();
/// Needs AVX512-VBMI, which AVX512-VNNI does not imply.
void lookup_avx512_vbmi(const LookupRows& rows, const std::uint8_t* in, std::uint8_t* out, std::size_t count);
#elif defined(__aarch64__)
[[nodiscard]] ElementwiseIsa elementwise_neon();
#endif

}  // namespace wayside::accel::cpu
