// SPDX-License-Identifier: Apache-2.0
// StridedCopy: moves a box of elements between two tensors with any strides; the body of all layout operators.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "accel/cpu/graph.h"

namespace wayside::accel::cpu::ops {

/// out[out_offset + sum_d i_d * out_stride_d] = in[in_offset + sum_d i_d * in_stride_d] for all 0 <= i_d < dims_d;
/// offsets and strides in elements of element_bytes.
struct StridedCopy {
  std::array<std::int32_t, kMaxRank> dims{};
  std::array<std::ptrdiff_t, kMaxRank> in_stride{}, out_stride{};
  std::ptrdiff_t in_offset = 0, out_offset = 0;
  std::size_t element_bytes = 1;

  void run(const std::byte* in, std::byte* out) const;
};

/// Strides of a dense tensor whose dimensions were extended to kMaxRank.
[[nodiscard]] std::array<std::ptrdiff_t, kMaxRank> dense_strides(const std::array<std::int32_t, kMaxRank>& dims);

}  // namespace wayside::accel::cpu::ops
