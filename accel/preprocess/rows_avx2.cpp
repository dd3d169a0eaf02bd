// SPDX-License-Identifier: Apache-2.0
// Row kernels for x86 with AVX2; compiled with -mavx2, called only after the processor was asked.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "accel/preprocess/row_cells.h"
#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {
namespace {

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
__m128i load_half(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
void store(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

/// (sum + area / 2) >> log2(area) on 16-bit and 32-bit sums.
struct Mean {
  explicit Mean(std::uint32_t area)
      : factor16(_mm256_set1_epi16(static_cast<short>(0x8000 / area))),
        half32(_mm256_set1_epi32(static_cast<int>(area / 2))),
        scalar_half(area / 2),
        scalar_shift(std::countr_zero(area)),
        shift(_mm_cvtsi32_si128(scalar_shift)) {}
  /// Sums up to 32767, areas from 2: pmulhrsw is (sum * factor + 0x4000) >> 15.
  [[nodiscard]] __m256i of16(__m256i sum) const { return _mm256_mulhrs_epi16(sum, factor16); }
  [[nodiscard]] __m256i of32(__m256i sum) const { return _mm256_srl_epi32(_mm256_add_epi32(sum, half32), shift); }
  [[nodiscard]] std::uint8_t of(std::uint64_t sum) const {
    return static_cast<std::uint8_t>((sum + scalar_half) >> scalar_shift);
  }
  __m256i factor16, half32;
  std::uint32_t scalar_half;
  int scalar_shift;
  __m128i shift;
};

/// Rows == 0: as many as the job has. The fixed counts let the compiler unroll the common ones.
template <unsigned Rows>
std::size_t row_count(const CellJob& job) {
  return Rows == 0 ? job.rows.size() : Rows;
}

/// Into the second level, which has several times the outstanding requests of the first (measured on a Zen 4: 0.17
/// instead of 0.32 ms for 1080p to 320x320). Prefetching never faults, so the address may lie outside.
void prefetch(std::uintptr_t address) { _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1); }

/// Asks for the 64 bytes at `offset` of the rows of the cells after the next, but for the last `Left` of them: rows are
/// too short for the hardware to find the pattern.
template <unsigned Rows, unsigned Left>
void prefetch_next(const CellJob& job, std::size_t offset) {
  for (std::size_t r = 0; r + Left < row_count<Rows>(job); ++r) {
    prefetch(reinterpret_cast<std::uintptr_t>(job.rows[r]) + offset + 2 * job.next_bytes);
  }
}
template <unsigned Rows>
inline constexpr unsigned kLeftToConvert = Rows == 1 ? 0 : 1;

/// Sums of neighbouring bytes (at most 64 rows x 2 x 255: fits int16) at `offset`, over all rows.
template <unsigned Rows>
__m256i pair_sums(const CellJob& job, std::size_t offset) {
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i sum = _mm256_maddubs_epi16(load(job.rows[0] + offset), ones);
  for (std::size_t r = 1; r < row_count<Rows>(job); ++r) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(load(job.rows[r] + offset), ones));
  }
  return sum;
}

template <unsigned Rows>
std::uint32_t cells_of_1(const CellJob& job, const Mean& mean, std::uint8_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  std::uint32_t cell = 0;
  for (; cell + 32 <= job.cell_count; cell += 32) {
    prefetch_next<Rows, kLeftToConvert<Rows>>(job, cell);
    __m256i low = zero, high = zero;
    for (std::size_t r = 0; r < row_count<Rows>(job); ++r) {
      const __m256i bytes = load(job.rows[r] + cell);
      low = _mm256_add_epi16(low, _mm256_unpacklo_epi8(bytes, zero));
      high = _mm256_add_epi16(high, _mm256_unpackhi_epi8(bytes, zero));
    }
    store(out + cell, _mm256_packus_epi16(mean.of16(low), mean.of16(high)));
  }
  return cell;
}

template <unsigned Rows>
std::uint32_t cells_of_2(const CellJob& job, const Mean& mean, std::uint8_t* out) {
  std::uint32_t cell = 0;
  for (; cell + 32 <= job.cell_count; cell += 32) {
    const std::size_t at = 2ULL * cell;
    prefetch_next<Rows, kLeftToConvert<Rows>>(job, at);
    const __m256i low = mean.of16(pair_sums<Rows>(job, at)), high = mean.of16(pair_sums<Rows>(job, at + 32));
    store(out + cell, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xD8));
  }
  return cell;
}

template <unsigned Rows>
std::uint32_t cells_of_4(const CellJob& job, const Mean& mean, std::uint8_t* out) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto sums = [&](std::size_t at) { return _mm256_madd_epi16(pair_sums<Rows>(job, at), ones); };
  const auto means = [&](std::size_t at) {
    if constexpr (Rows != 0) return mean.of16(_mm256_packs_epi32(sums(at), sums(at + 32)));
    return _mm256_packs_epi32(mean.of32(sums(at)), mean.of32(sums(at + 32)));  // more than 32 rows exceed 16 bits
  };
  std::uint32_t cell = 0;
  for (; cell + 32 <= job.cell_count; cell += 32) {
    const std::size_t at = 4ULL * cell;
    prefetch_next<Rows, kLeftToConvert<Rows>>(job, at);
    prefetch_next<Rows, kLeftToConvert<Rows>>(job, at + 64);
    store(out + cell, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(means(at), means(at + 64)), order));
  }
  return cell;
}

/// Sums of the two 8-byte halves of 16 bytes, over all rows and `chunks` neighbouring 16-byte chunks.
template <bool Split>
std::pair<std::uint64_t, std::uint64_t> half_sums(const CellJob& job, std::size_t offset, std::uint32_t chunks) {
  const __m128i split = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  __m128i sum = _mm_setzero_si128();
  for (const auto* row : job.rows) {
    for (std::uint32_t i = 0; i < chunks; ++i) {
      __m128i bytes = load_half(row + offset + 16ULL * i);
      if constexpr (Split) bytes = _mm_shuffle_epi8(bytes, split);
      sum = _mm_add_epi64(sum, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    }
  }
  return {static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum)), static_cast<std::uint64_t>(_mm_extract_epi64(sum, 1))};
}

std::uint32_t cells_of_8_or_more(const CellJob& job, const Mean& mean, std::uint8_t* out) {
  std::uint32_t cell = 0;
  if (job.factor_x == 8) {
    for (; cell + 2 <= job.cell_count; cell += 2) {
      const auto [first, second] = half_sums<false>(job, 8ULL * cell, 1);
      out[cell] = mean.of(first);
      out[cell + 1] = mean.of(second);
    }
    return cell;
  }
  for (; cell < job.cell_count; ++cell) {
    const auto [first, second] =
        half_sums<false>(job, static_cast<std::size_t>(cell) * job.factor_x, job.factor_x / 16);
    out[cell] = mean.of(first + second);
  }
  return cell;
}

template <unsigned Rows>
std::uint32_t cells_of(const CellJob& job, const Mean& mean, std::uint8_t* out) {
  switch (job.factor_x) {
    case 1: return cells_of_1<Rows>(job, mean, out);
    case 2: return cells_of_2<Rows>(job, mean, out);
    case 4: return cells_of_4<Rows>(job, mean, out);
    default: return cells_of_8_or_more(job, mean, out);
  }
}

void cells(const CellJob& job, std::uint8_t* out) {
  const Mean mean(static_cast<std::uint32_t>(job.rows.size()) * job.factor_x);
  std::uint32_t done = 0;
  switch (job.rows.size()) {
    case 1: done = cells_of<1>(job, mean, out); break;
    case 2: done = cells_of<2>(job, mean, out); break;
    case 4: done = cells_of<4>(job, mean, out); break;
    default: done = cells_of<0>(job, mean, out); break;
  }
  average_cells<1>(job, done, out);
}

template <unsigned Rows>
std::uint32_t pairs_of_1(const CellJob& job, const Mean& mean, std::uint8_t* first, std::uint8_t* second) {
  const __m256i byte = _mm256_set1_epi16(255);
  std::uint32_t cell = 0;
  for (; cell + 32 <= job.cell_count; cell += 32) {
    prefetch_next<Rows, 0>(job, 2ULL * cell);
    const auto* top = job.rows[0] + 2ULL * cell;
    __m256i low = load(top), high = load(top + 32);
    __m256i a0 = _mm256_and_si256(low, byte), a1 = _mm256_and_si256(high, byte);
    __m256i b0 = _mm256_srli_epi16(low, 8), b1 = _mm256_srli_epi16(high, 8);
    for (std::size_t r = 1; r < row_count<Rows>(job); ++r) {
      low = load(job.rows[r] + 2ULL * cell);
      high = load(job.rows[r] + 2ULL * cell + 32);
      a0 = _mm256_add_epi16(a0, _mm256_and_si256(low, byte));
      a1 = _mm256_add_epi16(a1, _mm256_and_si256(high, byte));
      b0 = _mm256_add_epi16(b0, _mm256_srli_epi16(low, 8));
      b1 = _mm256_add_epi16(b1, _mm256_srli_epi16(high, 8));
    }
    if constexpr (Rows != 1) {
      a0 = mean.of16(a0);
      a1 = mean.of16(a1);
      b0 = mean.of16(b0);
      b1 = mean.of16(b1);
    }
    store(first + cell, _mm256_permute4x64_epi64(_mm256_packus_epi16(a0, a1), 0xD8));
    store(second + cell, _mm256_permute4x64_epi64(_mm256_packus_epi16(b0, b1), 0xD8));
  }
  return cell;
}

template <unsigned Rows>
std::uint32_t pairs_of_2(const CellJob& job, const Mean& mean, std::uint8_t* first, std::uint8_t* second) {
  // Within 16 bytes: the 8 of the first component, then the 8 of the second.
  const __m256i split =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
  const __m256i order = _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7);
  const __m256i ones = _mm256_set1_epi8(1);
  const auto sums = [&](std::size_t row, std::size_t at) {
    return _mm256_maddubs_epi16(_mm256_shuffle_epi8(load(job.rows[row] + at), split), ones);
  };
  std::uint32_t cell = 0;
  for (; cell + 16 <= job.cell_count; cell += 16) {
    const std::size_t at = 4ULL * cell;
    prefetch_next<Rows, 0>(job, at);
    __m256i low = sums(0, at), high = sums(0, at + 32);
    for (std::size_t r = 1; r < row_count<Rows>(job); ++r) {
      low = _mm256_add_epi16(low, sums(r, at));
      high = _mm256_add_epi16(high, sums(r, at + 32));
    }
    const __m256i both = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(mean.of16(low), mean.of16(high)), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(first + cell), _mm256_castsi256_si128(both));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(second + cell), _mm256_extracti128_si256(both, 1));
  }
  return cell;
}

std::uint32_t pairs_of_4(const CellJob& job, const Mean& mean, std::uint8_t* first, std::uint8_t* second) {
  const __m128i split = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  std::uint32_t cell = 0;
  for (; cell + 2 <= job.cell_count; cell += 2) {
    __m128i sum = _mm_setzero_si128();
    for (const auto* row : job.rows) {
      const __m128i bytes = _mm_shuffle_epi8(load_half(row + 8ULL * cell), split);
      sum = _mm_add_epi16(sum, _mm_maddubs_epi16(bytes, _mm_set1_epi8(1)));
    }
    alignas(16) std::array<std::uint32_t, 4> sums;  // first, first, second, second
    _mm_store_si128(reinterpret_cast<__m128i*>(sums.data()), _mm_madd_epi16(sum, _mm_set1_epi16(1)));
    first[cell] = mean.of(sums[0]);
    first[cell + 1] = mean.of(sums[1]);
    second[cell] = mean.of(sums[2]);
    second[cell + 1] = mean.of(sums[3]);
  }
  return cell;
}

std::uint32_t pairs_of_8_or_more(const CellJob& job, const Mean& mean, std::uint8_t* first, std::uint8_t* second) {
  for (std::uint32_t cell = 0; cell < job.cell_count; ++cell) {
    const auto [a, b] = half_sums<true>(job, 2ULL * cell * job.factor_x, job.factor_x / 8);
    first[cell] = mean.of(a);
    second[cell] = mean.of(b);
  }
  return job.cell_count;
}

template <unsigned Rows>
std::uint32_t pairs_of(const CellJob& job, const Mean& mean, std::uint8_t* first, std::uint8_t* second) {
  switch (job.factor_x) {
    case 1: return pairs_of_1<Rows>(job, mean, first, second);
    case 2: return pairs_of_2<Rows>(job, mean, first, second);
    case 4: return pairs_of_4(job, mean, first, second);
    default: return pairs_of_8_or_more(job, mean, first, second);
  }
}

void cell_pairs(const CellJob& job, std::uint8_t* first, std::uint8_t* second) {
  const Mean mean(static_cast<std::uint32_t>(job.rows.size()) * job.factor_x);
  std::uint32_t done = 0;
  switch (job.rows.size()) {
    case 1: done = pairs_of<1>(job, mean, first, second); break;
    case 2: done = pairs_of<2>(job, mean, first, second); break;
    default: done = pairs_of<0>(job, mean, first, second); break;
  }
  if (done == job.cell_count) return;
  std::array<const std::uint8_t*, kMaxCellPx> next;
  std::ranges::transform(job.rows, next.begin(), [](const std::uint8_t* row) { return row + 1; });
  average_cells<2>(job, done, first);
  average_cells<2>({{next.data(), job.rows.size()}, job.factor_x, job.cell_count, 0}, done, second);
}

/// (sum + 64) >> 7: pmulhrsw is (sum * 256 + 0x4000) >> 15.
__m256i from_steps(__m256i sum) { return _mm256_mulhrs_epi16(sum, _mm256_set1_epi16(1 << (15 - kPositionBits))); }

void blend(const std::uint8_t* first, const std::uint8_t* second, std::uint32_t weight, std::uint32_t count,
           std::int8_t* out) {
  const int w = static_cast<int>(weight);
  if (count < 32) {
    for (std::uint32_t i = 0; i < count; ++i) {
      out[i] = static_cast<std::int8_t>(((first[i] * (128 - w) + second[i] * w + 64) >> 7) - 128);
    }
    return;
  }
  const __m256i sign = _mm256_set1_epi8(-128);
  const __m256i weights = _mm256_set1_epi16(static_cast<short>((128 - w) | (w << 8)));
  const auto each = [&](auto step) {
    std::uint32_t at = 0;
    for (; at + 32 <= count; at += 32) step(at);
    if (at < count) step(count - 32);
  };
  if (w == 0) {  // 128 does not fit the signed factor of pmaddubsw
    return each([&](std::uint32_t at) { store(out + at, _mm256_xor_si256(load(first + at), sign)); });
  }
  each([&](std::uint32_t at) {
    const __m256i a = load(first + at), b = load(second + at);
    const __m256i low = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), weights);
    const __m256i high = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), weights);
    store(out + at, _mm256_xor_si256(_mm256_packus_epi16(from_steps(low), from_steps(high)), sign));
  });
}

/// Where the 16 pixels of a block are sampled.
struct Window {
  Window(const SampleTable& table, std::size_t block)
      : low(table.start[2 * block]),
        high(table.start[2 * block + 1]),
        taps(load(table.taps.data() + 32 * block)),
        weights(load(table.weights.data() + 32 * block)) {}
  std::size_t low, high;
  __m256i taps, weights;
};

/// The 16 samples of a block, minus 128, as int16 in order and in 1/128, not yet rounded.
__m256i sample(const std::int8_t* row, const Window& window) {
  const __m256i cells =
      _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(row + window.low)), load_half(row + window.high), 1);
  return _mm256_maddubs_epi16(window.weights, _mm256_shuffle_epi8(cells, window.taps));
}

/// Rounds samples to whole values, still in 1/128: the other factor of the colour terms is doubled instead.
__m256i whole(__m256i samples) {
  const __m256i sum = _mm256_add_epi16(samples, _mm256_set1_epi16(kPositionSteps / 2));
  return _mm256_and_si256(sum, _mm256_set1_epi16(-static_cast<short>(kPositionSteps)));
}

/// Asks for the lines of `job.ahead`, spread evenly over the steps of a row.
class AheadLines {
 public:
  AheadLines(const ConvertJob& job, std::size_t steps) : parts_(job.ahead) {
    std::size_t lines = 0;
    for (const auto& part : parts_) lines += (part.bytes + kLineBytes - 1) / kLineBytes;
    lines_per_step_ = steps == 0 ? 0 : (lines + steps - 1) / steps;
  }
  void ask() {
    for (std::size_t i = 0; i < lines_per_step_; ++i) {
      if (at_ >= end_) {
        if (parts_.empty()) return;
        at_ = parts_.front().address;
        end_ = at_ + parts_.front().bytes;
        parts_ = parts_.subspan(1);
      }
      prefetch(at_);
      at_ += kLineBytes;
    }
  }

 private:
  static constexpr std::size_t kLineBytes = 64;
  std::span<const SourceAhead> parts_;
  std::size_t lines_per_step_;
  std::uintptr_t at_ = 0, end_ = 0;
};

/// Of 1/4096, for values in 1/128.
struct Factors {
  explicit Factors(const ColorFactors& f)
      : luma(twice(f.luma)),
        luma_offset(_mm256_set1_epi16(static_cast<short>(f.luma_offset + 8))),  // 8: the half of the final shift
        v_to_red(twice(f.v_to_red)),
        u_to_green(twice(f.u_to_green)),
        v_to_green(twice(f.v_to_green)),
        u_to_blue(twice(f.u_to_blue)) {}
  static __m256i twice(std::int16_t factor) { return _mm256_set1_epi16(static_cast<short>(2 * factor)); }
  __m256i luma, luma_offset, v_to_red, u_to_green, v_to_green, u_to_blue;
};

/// Values 0..255 (int16, may lie outside: saturated) of one block.
struct Block {
  __m256i first, second, third;
};

/// `Shared`: all components are sampled alike.
template <ColorModel Model, bool Gray, bool Shared>
[[gnu::always_inline]] inline Block colors(const ConvertJob& job, const Factors& f, std::size_t block) {
  const Window own(*job.tables[0], block);
  if constexpr (Model == ColorModel::rgb) {
    const __m256i center = _mm256_set1_epi16(128);
    const auto value = [&](std::size_t c) { return _mm256_add_epi16(from_steps(sample(job.rows[c], own)), center); };
    const __m256i red = value(0), green = value(1), blue = value(2);
    if constexpr (!Gray) return {red, green, blue};
    const __m256i sum = _mm256_add_epi16(_mm256_mullo_epi16(red, _mm256_set1_epi16(kGrayRed)),
                                         _mm256_mullo_epi16(green, _mm256_set1_epi16(kGrayGreen)));
    const __m256i all = _mm256_add_epi16(sum, _mm256_mullo_epi16(blue, _mm256_set1_epi16(kGrayBlue)));
    const __m256i gray = _mm256_srli_epi16(_mm256_add_epi16(all, center), 8);
    return {gray, gray, gray};
  } else {
    const __m256i y = whole(sample(job.rows[0], own));
    const __m256i luma = _mm256_add_epi16(_mm256_mulhrs_epi16(y, f.luma), f.luma_offset);
    if constexpr (Model == ColorModel::luma || Gray) {
      const __m256i gray = _mm256_srai_epi16(luma, 4);
      return {gray, gray, gray};
    }
    const Window chroma = Shared ? own : Window(*job.tables[1], block);
    const __m256i u = whole(sample(job.rows[1], chroma)), v = whole(sample(job.rows[2], chroma));
    const __m256i red = _mm256_add_epi16(luma, _mm256_mulhrs_epi16(v, f.v_to_red));
    const __m256i green = _mm256_sub_epi16(_mm256_sub_epi16(luma, _mm256_mulhrs_epi16(u, f.u_to_green)),
                                           _mm256_mulhrs_epi16(v, f.v_to_green));
    const __m256i blue = _mm256_add_epi16(luma, _mm256_mulhrs_epi16(u, f.u_to_blue));
    return {_mm256_srai_epi16(red, 4), _mm256_srai_epi16(green, 4), _mm256_srai_epi16(blue, 4)};
  }
}

/// The 32 values of two blocks, in order.
__m256i pack(__m256i first, __m256i second, __m256i flip) {
  return _mm256_xor_si256(_mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xD8), flip);
}

/// 32 pixels of 3 bytes, exactly 96. In each of the three 16-byte pieces that the 16 pixels of one half make, byte j is
/// of component (piece + j) % 3: one shuffle of each component puts all its bytes where some piece has them.
void store_3(std::uint8_t* out, __m256i first, __m256i second, __m256i third) {
  const auto twice = [](__m128i mask) { return _mm256_broadcastsi128_si256(mask); };
  const __m256i a =
      _mm256_shuffle_epi8(first, twice(_mm_setr_epi8(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5)));
  const __m256i b =
      _mm256_shuffle_epi8(second, twice(_mm_setr_epi8(5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10)));
  const __m256i c =
      _mm256_shuffle_epi8(third, twice(_mm_setr_epi8(10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15)));
  const __m256i at_1 = twice(_mm_setr_epi8(0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0));
  const __m256i at_2 = twice(_mm_setr_epi8(0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0));
  const auto put = [&](std::size_t piece, __m256i at_multiples, __m256i next, __m256i last) {
    const __m256i bytes = _mm256_blendv_epi8(_mm256_blendv_epi8(at_multiples, next, at_1), last, at_2);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * piece), _mm256_castsi256_si128(bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 48 + 16 * piece), _mm256_extracti128_si256(bytes, 1));
  };
  put(0, a, b, c);
  put(1, b, c, a);
  put(2, c, a, b);
}

template <ColorModel Model, bool Gray, bool Shared = true>
void convert_as(const ConvertJob& job, std::uint8_t* out) {
  constexpr std::size_t kPixelBytes = Gray ? 1 : 3;
  const Factors factors(job.factors);
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(job.flip));
  const bool swap = job.order == ColorOrder::bgr;
  const auto make = [&](std::size_t step, std::uint8_t* to) {
    const Block low = colors<Model, Gray, Shared>(job, factors, 2 * step);
    const Block high = colors<Model, Gray, Shared>(job, factors, 2 * step + 1);
    __m256i first = pack(low.first, high.first, flip);
    if constexpr (Gray) {
      store(to, first);
    } else {
      __m256i third = pack(low.third, high.third, flip);
      if (swap) std::swap(first, third);
      store_3(to, first, pack(low.second, high.second, flip), third);
    }
  };
  const std::size_t steps = job.count / kStepPx;
  AheadLines ahead(job, steps);
  for (std::size_t step = 0; step < steps; ++step) {
    ahead.ask();
    make(step, out + step * kStepPx * kPixelBytes);
  }
  if (job.count % kStepPx != 0) {
    std::array<std::uint8_t, kStepPx * kPixelBytes> last;
    make(steps, last.data());
    std::memcpy(out + steps * last.size(), last.data(), job.count % kStepPx * kPixelBytes);
  }
}

void convert(const ConvertJob& job, std::uint8_t* out) {
  const bool gray = job.order == ColorOrder::gray;
  switch (job.model) {
    case ColorModel::yuv:
      if (gray) return convert_as<ColorModel::yuv, true>(job, out);
      return job.tables[1] == job.tables[0] ? convert_as<ColorModel::yuv, false>(job, out)
                                            : convert_as<ColorModel::yuv, false, false>(job, out);
    case ColorModel::rgb:
      return gray ? convert_as<ColorModel::rgb, true>(job, out) : convert_as<ColorModel::rgb, false>(job, out);
    case ColorModel::luma:
      return gray ? convert_as<ColorModel::luma, true>(job, out) : convert_as<ColorModel::luma, false>(job, out);
  }
}

}  // namespace

const RowKernels* vector_row_kernels() {
  static constexpr RowKernels kernels{"avx2", cells, cell_pairs, blend, convert};
  return __builtin_cpu_supports("avx2") ? &kernels : nullptr;
}

}  // namespace wayside::accel::preprocess
