// SPDX-License-Identifier: Apache-2.0
// The innermost dimensions that are dense on both sides move as one memcpy.
#include "accel/cpu/ops/strided_copy.h"

#include <cstring>

namespace wayside::accel::cpu::ops {
namespace {

struct Run {
  std::size_t axis = kMaxRank;  // dimensions [axis, kMaxRank) are inside the run
  std::ptrdiff_t elements = 1;
};

Run dense_run(const StridedCopy& copy) {
  Run run;
  while (run.axis > 0) {
    const std::size_t next = run.axis - 1;
    const bool dense = copy.in_stride[next] == run.elements && copy.out_stride[next] == run.elements;
    if (!dense && copy.dims[next] != 1) break;
    run.elements *= copy.dims[next];
    run.axis = next;
  }
  return run;
}

}  // namespace

void StridedCopy::run(const std::byte* in, std::byte* out) const {
  const Run run = dense_run(*this);
  const std::size_t run_bytes = static_cast<std::size_t>(run.elements) * element_bytes;
  const auto unit = static_cast<std::ptrdiff_t>(element_bytes);
  std::array<std::int32_t, kMaxRank> index{};
  while (true) {
    std::ptrdiff_t from = in_offset, to = out_offset;
    for (std::size_t axis = 0; axis < run.axis; ++axis) {
      from += index[axis] * in_stride[axis];
      to += index[axis] * out_stride[axis];
    }
    std::memcpy(out + (to * unit), in + (from * unit), run_bytes);
    std::size_t axis = run.axis;
    while (axis > 0 && ++index[axis - 1] == dims[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

std::array<std::ptrdiff_t, kMaxRank> dense_strides(const std::array<std::int32_t, kMaxRank>& dims) {
  std::array<std::ptrdiff_t, kMaxRank> strides;
  std::ptrdiff_t size = 1;
  for (std::size_t axis = kMaxRank; axis-- > 0;) {
    strides[axis] = size;
    size *= dims[axis];
  }
  return strides;
}

}  // namespace wayside::accel::cpu::ops
