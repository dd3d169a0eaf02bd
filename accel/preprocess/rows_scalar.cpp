// SPDX-License-Identifier: Apache-2.0
// Row kernels in plain C++, and the sample tables that all sets use.
#include <algorithm>

#include "accel/preprocess/row_cells.h"
#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {
namespace {

void cells(const CellJob& job, std::uint8_t* out) { average_cells<1>(job, 0, out); }

void cell_pairs(const CellJob& job, std::uint8_t* first, std::uint8_t* second) {
  std::array<const std::uint8_t*, kMaxCellPx> next{};
  std::ranges::transform(job.rows, next.begin(), [](const std::uint8_t* row) { return row + 1; });
  average_cells<2>(job, 0, first);
  average_cells<2>({{next.data(), job.rows.size()}, job.factor_x, job.cell_count, 0}, 0, second);
}

void blend(const std::uint8_t* first, const std::uint8_t* second, std::uint32_t weight, std::uint32_t count,
           std::int8_t* out) {
  const int w = static_cast<int>(weight);
  for (std::uint32_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::int8_t>(((first[i] * (128 - w) + second[i] * w + 64) >> 7) - 128);
  }
}

/// The component at pixel i, minus 128.
int sample(const ConvertJob& job, std::size_t component, std::size_t i) {
  const auto& table = *job.tables[component];
  const auto* row = job.rows[component] + table.start[i / kGroupPx];
  return (row[table.taps[2 * i]] * table.weights[2 * i] + row[table.taps[2 * i + 1]] * table.weights[2 * i + 1] + 64) >>
         7;
}

struct Color {
  int red, green, blue, gray;
};

Color color_at(const ConvertJob& job, std::size_t i) {
  const auto& f = job.factors;
  const int first = sample(job, 0, i);
  if (job.model == ColorModel::rgb) {
    const int red = first + 128, green = sample(job, 1, i) + 128, blue = sample(job, 2, i) + 128;
    return {red, green, blue, gray_of(red, green, blue)};
  }
  const int luma = color_term(first, f.luma) + f.luma_offset;
  const int gray = color_value(luma);
  if (job.model == ColorModel::luma || job.order == ColorOrder::gray) return {gray, gray, gray, gray};
  const int u = sample(job, 1, i), v = sample(job, 2, i);
  return {color_value(luma + color_term(v, f.v_to_red)),
          color_value(luma - color_term(u, f.u_to_green) - color_term(v, f.v_to_green)),
          color_value(luma + color_term(u, f.u_to_blue)), gray};
}

void convert(const ConvertJob& job, std::uint8_t* out) {
  for (std::uint32_t i = 0; i < job.count; ++i) {
    const auto color = color_at(job, i);
    const auto put = [&](int value) { *out++ = static_cast<std::uint8_t>(value ^ job.flip); };
    if (job.order == ColorOrder::gray) {
      put(color.gray);
      continue;
    }
    put(job.order == ColorOrder::rgb ? color.red : color.blue);
    put(color.green);
    put(job.order == ColorOrder::rgb ? color.blue : color.red);
  }
}

std::uint32_t whole_steps(std::uint32_t target_px) { return (target_px + kStepPx - 1) / kStepPx * kStepPx; }

}  // namespace

void reserve(SampleTable& table, std::uint32_t target_px) {
  const std::size_t count = whole_steps(target_px);
  table.start.reserve(count / kGroupPx);
  table.taps.reserve(2 * count);
  table.weights.reserve(2 * count);
}

void fill(SampleTable& table, const Axis& axis) {
  const std::uint32_t count = whole_steps(axis.target_px);
  table.start.resize(count / kGroupPx);
  table.taps.resize(2 * static_cast<std::size_t>(count));
  table.weights.resize(2 * static_cast<std::size_t>(count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t position = sample_position(axis, std::min(i, axis.target_px - 1));
    const std::uint32_t cell = position / kPositionSteps, weight = position % kPositionSteps;
    auto& start = table.start[i / kGroupPx];
    if (i % kGroupPx == 0) start = static_cast<std::uint16_t>(cell);
    table.taps[2 * i] = static_cast<std::uint8_t>(cell - start);
    table.taps[2 * i + 1] = static_cast<std::uint8_t>(cell - start + 1);
    table.weights[2 * i] = static_cast<std::uint8_t>(kPositionSteps - weight);
    table.weights[2 * i + 1] = static_cast<std::uint8_t>(weight);
  }
}

const RowKernels& scalar_row_kernels() {
  static constexpr RowKernels kernels{"scalar", cells, cell_pairs, blend, convert};
  return kernels;
}

}  // namespace wayside::accel::preprocess
