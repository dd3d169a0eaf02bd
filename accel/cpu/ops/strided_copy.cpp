// SPDX-License-Identifier: Apache-2.0
// The innermost dimensions that are dense on both sides move as one memcpy; the longest of the others is the inner
// loop.
#include "accel/cpu/ops/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

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

/// Steps over runs along one dimension or several that both sides walk alike; strides in bytes.
struct Loop {
  std::int32_t count = 1;
  std::ptrdiff_t in = 0, out = 0;
};
using Loops = std::array<Loop, kMaxRank>;

/// The dimensions outside the run, the longest last: its loop is the tight one. Unused loops count 1.
Loops loops_over(const StridedCopy& copy, const Run& run) {
  Loops loops;
  std::size_t last = 0;
  const auto unit = static_cast<std::ptrdiff_t>(copy.element_bytes);
  for (std::size_t axis = 0; axis < run.axis; ++axis) {
    const Loop next{copy.dims[axis], copy.in_stride[axis] * unit, copy.out_stride[axis] * unit};
    if (next.count == 1) continue;
    Loop& outer = loops[last];
    if (outer.count != 1 && (outer.in != next.in * next.count || outer.out != next.out * next.count)) {
      loops[++last] = next;
    } else {
      outer = {outer.count * next.count, next.in, next.out};
    }
  }
  const auto longest = std::ranges::max_element(loops, {}, &Loop::count);
  std::swap(*longest, loops.back());
  return loops;
}

template <std::size_t kBytes>
void move_each(const Loop& loop, const std::byte* in, std::byte* out) {
  for (std::int32_t i = 0; i < loop.count; ++i) std::memcpy(out + (i * loop.out), in + (i * loop.in), kBytes);
}

void move_runs(const Loop& loop, std::size_t run_bytes, const std::byte* in, std::byte* out) {
  switch (run_bytes) {
    case 1: return move_each<1>(loop, in, out);
    case 2: return move_each<2>(loop, in, out);
    case 4: return move_each<4>(loop, in, out);
    case 8: return move_each<8>(loop, in, out);
    default:
      for (std::int32_t i = 0; i < loop.count; ++i) std::memcpy(out + (i * loop.out), in + (i * loop.in), run_bytes);
  }
}

}  // namespace

void StridedCopy::run(const std::byte* in, std::byte* out) const {
  const Run run = dense_run(*this);
  const auto run_bytes = static_cast<std::size_t>(run.elements) * element_bytes;
  const Loops loops = loops_over(*this, run);
  in += in_offset * static_cast<std::ptrdiff_t>(element_bytes);
  out += out_offset * static_cast<std::ptrdiff_t>(element_bytes);
  std::array<std::int32_t, kMaxRank> index{};
  while (true) {
    std::ptrdiff_t from = 0, to = 0;
    for (std::size_t i = 0; i + 1 < loops.size(); ++i) {
      from += index[i] * loops[i].in;
      to += index[i] * loops[i].out;
    }
    move_runs(loops.back(), run_bytes, in + from, out + to);
    std::size_t i = loops.size() - 1;
    while (i > 0 && ++index[i - 1] == loops[i - 1].count) index[--i] = 0;
    if (i == 0) return;
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
