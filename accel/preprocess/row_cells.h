// SPDX-License-Identifier: Apache-2.0
// Cell averaging in plain C++, for rows of any layout; internal to each translation unit, because they are compiled for
// different instruction sets.
#pragma once

#include <bit>
#include <cstdint>

#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {
namespace {

/// Cells [begin, job.cell_count) of the component whose samples are `Step` bytes apart, the first at row[0].
template <unsigned Step>
[[maybe_unused]] void average_cells(const CellJob& job, std::uint32_t begin, std::uint8_t* out) {
  const std::uint32_t factor = job.factor_x;
  const auto area = static_cast<std::uint32_t>(job.rows.size()) * factor;
  const int shift = std::countr_zero(area);
  for (std::uint32_t cell = begin; cell < job.cell_count; ++cell) {
    std::uint32_t sum = area / 2;
    for (const auto* row : job.rows) {
      const auto* sample = row + static_cast<std::size_t>(cell) * factor * Step;
      for (std::uint32_t i = 0; i < factor; ++i) sum += sample[static_cast<std::size_t>(i) * Step];
    }
    out[cell] = static_cast<std::uint8_t>(sum >> shift);
  }
}

}  // namespace
}  // namespace wayside::accel::preprocess
