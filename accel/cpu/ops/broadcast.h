// SPDX-License-Identifier: Apache-2.0
// Broadcast: walks two tensors together, repeating dimensions of size 1, as NumPy does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "accel/cpu/graph.h"

namespace wayside::accel::cpu::ops {

struct Broadcast {
  Shape out_shape;
  std::array<std::int32_t, kMaxRank> dims{};        ///< of the output, ones in front
  std::array<std::ptrdiff_t, kMaxRank> stride_a{};  ///< elements; 0 where `a` is repeated
  std::array<std::ptrdiff_t, kMaxRank> stride_b{};

  /// Nothing when the shapes do not fit. Dimensions next to each other that both sides walk alike are merged, so that
  /// the innermost loop is long.
  static std::optional<Broadcast> create(const Shape& a, const Shape& b);

  /// body(offset in a, offset in b) for every innermost row of the output, in order.
  template <class Body>
  void for_each_row(const Body& body) const {
    std::array<std::int32_t, kMaxRank> index{};
    constexpr std::size_t kInner = kMaxRank - 1;
    while (true) {
      std::ptrdiff_t at_a = 0, at_b = 0;
      for (std::size_t axis = 0; axis < kInner; ++axis) {
        at_a += index[axis] * stride_a[axis];
        at_b += index[axis] * stride_b[axis];
      }
      body(at_a, at_b);
      std::size_t axis = kInner;
      while (axis > 0 && ++index[axis - 1] == dims[axis - 1]) index[--axis] = 0;
      if (axis == 0) return;
    }
  }

  /// out[i] = function(a[i'], b[i'']) for every element of the output, in order.
  template <class In, class Out, class Function>
  void apply(const In* a, const In* b, Out* out, const Function& function) const {
    constexpr std::size_t kInner = kMaxRank - 1;
    for_each_row([&](std::ptrdiff_t at_a, std::ptrdiff_t at_b) {
      for (std::int32_t i = 0; i < dims[kInner]; ++i) {
        *out++ = function(a[at_a + (i * stride_a[kInner])], b[at_b + (i * stride_b[kInner])]);
      }
    });
  }
};

inline std::optional<Broadcast> Broadcast::create(const Shape& a, const Shape& b) {
  const auto dims_a = a.extended(), dims_b = b.extended();
  Broadcast result;
  std::ptrdiff_t size_a = 1, size_b = 1;
  for (std::size_t axis = kMaxRank; axis-- > 0;) {
    if (dims_a[axis] != dims_b[axis] && dims_a[axis] != 1 && dims_b[axis] != 1) return std::nullopt;
    result.dims[axis] = dims_a[axis] == 1 ? dims_b[axis] : dims_a[axis];
    result.stride_a[axis] = dims_a[axis] == 1 ? 0 : size_a;
    result.stride_b[axis] = dims_b[axis] == 1 ? 0 : size_b;
    size_a *= dims_a[axis];
    size_b *= dims_b[axis];
  }
  const std::size_t rank = a.rank() > b.rank() ? a.rank() : b.rank();
  result.out_shape = Shape(std::span<const std::int32_t>(result.dims).last(rank));

  std::size_t to = kMaxRank - 1;
  for (std::size_t axis = kMaxRank - 1; axis-- > 0;) {
    const std::ptrdiff_t inner = result.dims[to];
    const bool unit = result.dims[axis] == 1;
    const bool joins =
        result.stride_a[axis] == result.stride_a[to] * inner && result.stride_b[axis] == result.stride_b[to] * inner;
    const bool inner_unit = inner == 1;
    if (unit) continue;
    if (inner_unit) {
      result.dims[to] = result.dims[axis];
      result.stride_a[to] = result.stride_a[axis];
      result.stride_b[to] = result.stride_b[axis];
    } else if (joins) {
      result.dims[to] *= result.dims[axis];
    } else {
      --to;
      result.dims[to] = result.dims[axis];
      result.stride_a[to] = result.stride_a[axis];
      result.stride_b[to] = result.stride_b[axis];
    }
  }
  for (std::size_t axis = 0; axis < to; ++axis) {
    result.dims[axis] = 1;
    result.stride_a[axis] = result.stride_b[axis] = 0;
  }
  return result;
}

}  // namespace wayside::accel::cpu::ops
