// SPDX-License-Identifier: Apache-2.0
// The row operations that pre-processing is made of, one set per instruction set; all give the same bits.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "accel/preprocess/color.h"
#include "accel/preprocess/geometry.h"

namespace wayside::accel::preprocess {

/// Target pixels that are sampled with one byte shuffle: 8 pixels at most 2 cells apart touch 16 neighbouring cells.
inline constexpr std::uint32_t kGroupPx = 8;
/// Pixels that are sampled and coloured in one vector, and the most that convert() makes in one step.
inline constexpr std::uint32_t kBlockPx = 2 * kGroupPx;
inline constexpr std::uint32_t kStepPx = 2 * kBlockPx;
/// Readable elements that convert() needs behind the last cell of its rows.
inline constexpr std::uint32_t kRowSlack = 16;

/// Horizontal sampling of one axis. Pixel i blends cells start[i/8] + taps[2i] and start[i/8] + taps[2i+1] with the
/// weights weights[2i] and weights[2i+1] (sum 128). Filled up to a whole number of steps with the last pixel.
struct SampleTable {
  std::vector<std::uint16_t> start;
  std::vector<std::uint8_t> taps, weights;
};
/// Room for `target_px` pixels; fill() then allocates nothing.
void reserve(SampleTable& table, std::uint32_t target_px);
void fill(SampleTable& table, const Axis& axis);

/// Averages cells of factor_y rows x factor_x samples: out[c] = (sum + area / 2) / area, area a power of two.
struct CellJob {
  std::span<const std::uint8_t* const> rows;  ///< factor_y pointers to the first sample
  std::uint32_t factor_x = 1;
  std::uint32_t cell_count = 0;  ///< complete cells
  std::size_t next_bytes = 0;    ///< from each row to the one that will be read next in its place
};

/// Source bytes that will be read soon. They may lie behind the picture: they are only asked for.
struct SourceAhead {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
};

/// Samples three (or one) blended rows, turns them into colours, and writes `count` pixels of 3 (or 1) bytes.
struct ConvertJob {
  ColorModel model = ColorModel::yuv;
  ColorOrder order = ColorOrder::rgb;
  std::uint8_t flip = 0;  ///< xor of every byte written: 0 or 0x80 (i8)
  ColorFactors factors{};
  std::array<const std::int8_t*, 3> rows{};  ///< cells minus 128, readable kRowSlack behind the last; unused: nullptr
  std::array<const SampleTable*, 3> tables{};
  std::uint32_t count = 0;
  std::span<const SourceAhead> ahead{};  ///< asked for on the way, so that the memory does not rest meanwhile
};

struct RowKernels {
  std::string_view name;
  /// Cells of one component whose samples lie side by side. Of several rows, the last one's next is left to convert().
  void (*cells)(const CellJob& job, std::uint8_t* out);
  /// Cells of two components that alternate (NV12's U and V).
  void (*cell_pairs)(const CellJob& job, std::uint8_t* first, std::uint8_t* second);
  /// out[i] = ((first[i] * (128 - weight) + second[i] * weight + 64) >> 7) - 128; weight 0..127.
  void (*blend)(const std::uint8_t* first, const std::uint8_t* second, std::uint32_t weight, std::uint32_t count,
                std::int8_t* out);
  void (*convert)(const ConvertJob& job, std::uint8_t* out);
};

/// Plain C++.
const RowKernels& scalar_row_kernels();
/// nullptr when this build has none or this processor cannot run them.
const RowKernels* vector_row_kernels();

}  // namespace wayside::accel::preprocess
