// SPDX-License-Identifier: Apache-2.0
// Row kernels for 64-bit Arm, which always has NEON.
#include <arm_neon.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "accel/preprocess/row_cells.h"
#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {
namespace {

constexpr std::uint32_t kLanes = 16;

/// 16 samples of kComponents components that lie side by side.
template <int kComponents>
struct Samples {
  uint8x16_t of[kComponents];
  explicit Samples(const std::uint8_t* from) {
    if constexpr (kComponents == 1) {
      of[0] = vld1q_u8(from);
    } else {
      const uint8x16x2_t both = vld2q_u8(from);
      of[0] = both.val[0];
      of[1] = both.val[1];
    }
  }
};

/// Cells one sample wide: sums of at most 64 rows x 255 in 16 bits. The rounding shift is the division by the area.
template <int kComponents>
std::uint32_t cells_of_1(const CellJob& job, std::uint8_t* const (&out)[kComponents]) {
  const int16x8_t shift = vdupq_n_s16(static_cast<std::int16_t>(-std::countr_zero(job.rows.size())));
  std::uint32_t cell = 0;
  for (; cell + kLanes <= job.cell_count; cell += kLanes) {
    uint16x8_t low[kComponents], high[kComponents];
    for (int c = 0; c < kComponents; ++c) low[c] = high[c] = vdupq_n_u16(0);
    for (const auto* row : job.rows) {
      const Samples<kComponents> samples(row + (std::size_t{kComponents} * cell));
      for (int c = 0; c < kComponents; ++c) {
        low[c] = vaddw_u8(low[c], vget_low_u8(samples.of[c]));
        high[c] = vaddw_high_u8(high[c], samples.of[c]);
      }
    }
    for (int c = 0; c < kComponents; ++c) {
      vst1q_u8(out[c] + cell, vmovn_high_u16(vmovn_u16(vrshlq_u16(low[c], shift)), vrshlq_u16(high[c], shift)));
    }
  }
  return cell;
}

/// Cells two samples wide: pairs are summed as they are added.
template <int kComponents>
std::uint32_t cells_of_2(const CellJob& job, std::uint8_t* const (&out)[kComponents]) {
  const int16x8_t shift = vdupq_n_s16(static_cast<std::int16_t>(-1 - std::countr_zero(job.rows.size())));
  std::uint32_t cell = 0;
  for (; cell + (kLanes / 2) <= job.cell_count; cell += kLanes / 2) {
    uint16x8_t sum[kComponents];
    for (int c = 0; c < kComponents; ++c) sum[c] = vdupq_n_u16(0);
    for (const auto* row : job.rows) {
      const Samples<kComponents> samples(row + (std::size_t{2 * kComponents} * cell));
      for (int c = 0; c < kComponents; ++c) sum[c] = vpadalq_u8(sum[c], samples.of[c]);
    }
    for (int c = 0; c < kComponents; ++c) vst1_u8(out[c] + cell, vmovn_u16(vrshlq_u16(sum[c], shift)));
  }
  return cell;
}

/// Cells of 4 or more samples, a power of two: 16 bits hold the pairs of 64 rows, 32 bits what is summed of them.
template <int kComponents>
std::uint32_t cells_of_4_or_more(const CellJob& job, std::uint8_t* const (&out)[kComponents]) {
  const std::uint32_t factor = job.factor_x;
  const auto area = static_cast<std::uint32_t>(job.rows.size()) * factor;
  const std::uint32_t cells = std::max(1U, kLanes / factor);
  std::uint32_t cell = 0;
  for (; cell + cells <= job.cell_count; cell += cells) {
    uint32x4_t sum[kComponents];
    for (int c = 0; c < kComponents; ++c) sum[c] = vdupq_n_u32(0);
    for (std::uint32_t x = 0; x < std::max(factor, kLanes); x += kLanes) {
      uint16x8_t pairs[kComponents];
      for (int c = 0; c < kComponents; ++c) pairs[c] = vdupq_n_u16(0);
      for (const auto* row : job.rows) {
        const Samples<kComponents> samples(row + (kComponents * ((static_cast<std::size_t>(cell) * factor) + x)));
        for (int c = 0; c < kComponents; ++c) pairs[c] = vpadalq_u8(pairs[c], samples.of[c]);
      }
      for (int c = 0; c < kComponents; ++c) sum[c] = vpadalq_u16(sum[c], pairs[c]);
    }
    for (int c = 0; c < kComponents; ++c) {
      std::array<std::uint32_t, 4> quarters;
      if (factor == 8) sum[c] = vpaddq_u32(sum[c], sum[c]);
      if (factor >= kLanes) sum[c] = vdupq_n_u32(vaddvq_u32(sum[c]));
      vst1q_u32(quarters.data(), sum[c]);
      for (std::uint32_t i = 0; i < cells; ++i) {
        out[c][cell + i] = static_cast<std::uint8_t>((quarters[i] + (area / 2)) >> std::countr_zero(area));
      }
    }
  }
  return cell;
}

template <int kComponents>
std::uint32_t cells_of(const CellJob& job, std::uint8_t* const (&out)[kComponents]) {
  switch (job.factor_x) {
    case 1: return cells_of_1<kComponents>(job, out);
    case 2: return cells_of_2<kComponents>(job, out);
    default: return cells_of_4_or_more<kComponents>(job, out);
  }
}

void cells(const CellJob& job, std::uint8_t* out) { average_cells<1>(job, cells_of<1>(job, {out}), out); }

void cell_pairs(const CellJob& job, std::uint8_t* first, std::uint8_t* second) {
  const std::uint32_t done = cells_of<2>(job, {first, second});
  if (done == job.cell_count) return;
  std::array<const std::uint8_t*, kMaxCellPx> next;
  std::ranges::transform(job.rows, next.begin(), [](const std::uint8_t* row) { return row + 1; });
  average_cells<2>(job, done, first);
  average_cells<2>({{next.data(), job.rows.size()}, job.factor_x, job.cell_count, 0}, done, second);
}

void blend(const std::uint8_t* first, const std::uint8_t* second, std::uint32_t weight, std::uint32_t count,
           std::int8_t* out) {
  const uint8x16_t to_second = vdupq_n_u8(static_cast<std::uint8_t>(weight));
  const uint8x16_t to_first = vdupq_n_u8(static_cast<std::uint8_t>(128 - weight));
  const auto step = [&](std::uint32_t at) {
    const uint8x16_t a = vld1q_u8(first + at), b = vld1q_u8(second + at);
    const uint16x8_t low =
        vmlal_u8(vmull_u8(vget_low_u8(a), vget_low_u8(to_first)), vget_low_u8(b), vget_low_u8(to_second));
    const uint16x8_t high = vmlal_high_u8(vmull_high_u8(a, to_first), b, to_second);
    const uint8x16_t bytes = vrshrn_high_n_u16(vrshrn_n_u16(low, 7), high, 7);
    vst1q_s8(out + at, vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80))));
  };
  std::uint32_t at = 0;
  for (; at + kLanes <= count; at += kLanes) step(at);
  if (at < count && count >= kLanes) {
    step(count - kLanes);
    return;
  }
  const int w = static_cast<int>(weight);
  for (; at < count; ++at) {
    out[at] = static_cast<std::int8_t>(((first[at] * (128 - w) + second[at] * w + 64) >> 7) - 128);
  }
}

/// Eight of a block's 16 samples each, minus 128.
struct Halves {
  int16x8_t low, high;
};

template <class Operation>
Halves both(const Halves& a, const Halves& b, const Operation& operation) {
  return {operation(a.low, b.low), operation(a.high, b.high)};
}

Halves sample(const ConvertJob& job, std::size_t component, std::size_t block) {
  const auto& table = *job.tables[component];
  const auto* row = job.rows[component];
  const std::uint8_t* taps = table.taps.data() + (32 * block);
  const std::uint8_t* weights = table.weights.data() + (32 * block);
  const int8x16_t low = vqtbl1q_s8(vld1q_s8(row + table.start[2 * block]), vld1q_u8(taps));
  const int8x16_t high = vqtbl1q_s8(vld1q_s8(row + table.start[(2 * block) + 1]), vld1q_u8(taps + 16));
  const int8x16_t left = vuzp1q_s8(low, high), right = vuzp2q_s8(low, high);
  // The two weights sum up to 128, and the second is at most 127: left * 128 + (right - left) * weight.
  const int8x16_t weight = vreinterpretq_s8_u8(vuzp2q_u8(vld1q_u8(weights), vld1q_u8(weights + 16)));
  int16x8_t first = vshll_n_s8(vget_low_s8(left), 7), second = vshll_high_n_s8(left, 7);
  first = vmlal_s8(first, vget_low_s8(right), vget_low_s8(weight));
  second = vmlal_high_s8(second, right, weight);
  first = vmlsl_s8(first, vget_low_s8(left), vget_low_s8(weight));
  second = vmlsl_high_s8(second, left, weight);
  return {vrshrq_n_s16(first, 7), vrshrq_n_s16(second, 7)};
}

/// round(centred * 256 * factor / 2^15): color_term().
Halves term(const Halves& centred, std::int16_t factor) {
  return {vqrdmulhq_n_s16(vshlq_n_s16(centred.low, 8), factor), vqrdmulhq_n_s16(vshlq_n_s16(centred.high, 8), factor)};
}
Halves plus(const Halves& a, const Halves& b) {
  return both(a, b, [](int16x8_t x, int16x8_t y) { return vaddq_s16(x, y); });
}
Halves minus(const Halves& a, const Halves& b) {
  return both(a, b, [](int16x8_t x, int16x8_t y) { return vsubq_s16(x, y); });
}
/// From 1/16 (with the half of the rounding in it) to bytes.
uint8x16_t value_of(const Halves& sixteenths) {
  return vqshrun_high_n_s16(vqshrun_n_s16(sixteenths.low, 4), sixteenths.high, 4);
}

uint8x16x3_t colors_of_rgb(const ConvertJob& job, std::size_t block, bool gray) {
  uint8x16x3_t bytes;
  for (std::size_t c = 0; c < 3; ++c) {
    const Halves centred = sample(job, c, block);
    const int8x16_t narrow = vmovn_high_s16(vmovn_s16(centred.low), centred.high);
    bytes.val[c] = veorq_u8(vreinterpretq_u8_s8(narrow), vdupq_n_u8(0x80));
  }
  if (!gray) return bytes;
  const auto sum = [&](uint8x8_t red, uint8x8_t green, uint8x8_t blue) {
    const uint16x8_t all = vmlal_u8(vmull_u8(red, vdup_n_u8(kGrayRed)), green, vdup_n_u8(kGrayGreen));
    return vrshrn_n_u16(vmlal_u8(all, blue, vdup_n_u8(kGrayBlue)), 8);
  };
  const auto& [red, green, blue] = bytes.val;
  bytes.val[0] = vcombine_u8(sum(vget_low_u8(red), vget_low_u8(green), vget_low_u8(blue)),
                             sum(vget_high_u8(red), vget_high_u8(green), vget_high_u8(blue)));
  return bytes;
}

/// The bytes of 16 pixels, red first; gray pictures have them in the first.
template <ColorModel kModel, bool kGray>
uint8x16x3_t colors(const ConvertJob& job, std::size_t block) {
  if constexpr (kModel == ColorModel::rgb) {
    return colors_of_rgb(job, block, kGray);
  } else {
    const auto& f = job.factors;
    constexpr std::int16_t kHalf = 8;  // of the final shift
    const int16x8_t offset = vdupq_n_s16(static_cast<std::int16_t>(f.luma_offset + kHalf));
    const Halves luma = plus(term(sample(job, 0, block), f.luma), {offset, offset});
    if constexpr (kModel == ColorModel::luma || kGray) {
      const uint8x16_t gray = value_of(luma);
      return {{gray, gray, gray}};
    }
    const Halves u = sample(job, 1, block), v = sample(job, 2, block);
    const Halves green = minus(minus(luma, term(u, f.u_to_green)), term(v, f.v_to_green));
    return {{value_of(plus(luma, term(v, f.v_to_red))), value_of(green), value_of(plus(luma, term(u, f.u_to_blue)))}};
  }
}

template <ColorModel kModel, bool kGray>
void convert_as(const ConvertJob& job, std::uint8_t* out) {
  constexpr std::size_t kBytes = (kGray ? 1 : 3) * kBlockPx;
  const uint8x16_t flip = vdupq_n_u8(job.flip);
  const bool swap = job.order == ColorOrder::bgr;
  const auto make = [&](std::size_t block, std::uint8_t* to) {
    auto bytes = colors<kModel, kGray>(job, block);
    for (auto& component : bytes.val) component = veorq_u8(component, flip);
    if constexpr (kGray) {
      vst1q_u8(to, bytes.val[0]);
    } else {
      if (swap) std::swap(bytes.val[0], bytes.val[2]);
      vst3q_u8(to, bytes);
    }
  };
  const std::size_t blocks = job.count / kBlockPx;
  for (std::size_t block = 0; block < blocks; ++block) make(block, out + (block * kBytes));
  if (job.count % kBlockPx != 0) {
    std::array<std::uint8_t, kBytes> last;
    make(blocks, last.data());
    std::memcpy(out + (blocks * kBytes), last.data(), job.count % kBlockPx * (kGray ? 1 : 3));
  }
}

void convert(const ConvertJob& job, std::uint8_t* out) {
  const bool gray = job.order == ColorOrder::gray;
  switch (job.model) {
    case ColorModel::yuv:
      return gray ? convert_as<ColorModel::yuv, true>(job, out) : convert_as<ColorModel::yuv, false>(job, out);
    case ColorModel::rgb:
      return gray ? convert_as<ColorModel::rgb, true>(job, out) : convert_as<ColorModel::rgb, false>(job, out);
    case ColorModel::luma:
      return gray ? convert_as<ColorModel::luma, true>(job, out) : convert_as<ColorModel::luma, false>(job, out);
  }
}

}  // namespace

const RowKernels* vector_row_kernels() {
  static constexpr RowKernels kernels{"neon", cells, cell_pairs, blend, convert};
  return &kernels;
}

}  // namespace wayside::accel::preprocess
