// SPDX-License-Identifier: Apache-2.0
// The loops of bilinear.h, left to the compiler's vectoriser: included by files with their own flags.
#pragma once

#include <cstring>

#include "accel/cpu/kernels/bilinear.h"

namespace wayside::accel::cpu {
namespace {

/// The weights of two neighbours as factors modulo 2^32, so that products wrap.
struct Factors {
  explicit Factors(std::int32_t weight)
      : first((1U << kBilinearBits) - static_cast<std::uint32_t>(weight)), second(static_cast<std::uint32_t>(weight)) {}
  [[gnu::always_inline]] std::uint32_t operator()(std::int32_t a, std::int32_t b) const {
    return (static_cast<std::uint32_t>(a) * first) + (static_cast<std::uint32_t>(b) * second);
  }
  std::uint32_t first, second;
};

template <class T, std::size_t kLanes>
struct Lanes {
  typedef T Vector __attribute__((vector_size(kLanes * sizeof(T))));
};

/// kLanes values at once, in vectors of the compiler: the sum / 2^(2 * kBilinearBits), halves away from zero.
template <std::size_t kLanes>
[[gnu::always_inline]] inline void blend_lanes(const std::int32_t* a, const std::int32_t* b, const Factors& factors,
                                               std::int8_t* out) {
  using Words = typename Lanes<std::uint32_t, kLanes>::Vector;
  using Sums = typename Lanes<std::int32_t, kLanes>::Vector;
  using Pixels = typename Lanes<std::int8_t, kLanes>::Vector;
  Words first, second;
  std::memcpy(&first, a, sizeof first);
  std::memcpy(&second, b, sizeof second);
  constexpr int kShift = 2 * kBilinearBits;
  const auto sum = (Sums)((first * factors.first) + (second * factors.second));
  const Sums sign = sum >> 31;
  const Sums magnitude = ((sum ^ sign) - sign + (1 << (kShift - 1))) >> kShift;
  const Pixels pixels = __builtin_convertvector((magnitude ^ sign) - sign, Pixels);
  std::memcpy(out, &pixels, sizeof pixels);
}

template <std::size_t kLanes>
void make_bilinear_row(const BilinearRow& row) {
  const Factors rows(row.bottom_weight);
  for (std::size_t i = 0; i < row.in_elements; ++i) {
    row.blended[i] = static_cast<std::int32_t>(rows(row.top[i], row.bottom[i]));
  }
  std::int8_t* out = row.out;
  for (const BilinearTap& tap : row.columns) {
    const Factors factors(tap.weight);
    const std::int32_t* a = row.blended + (static_cast<std::size_t>(tap.first) * row.channels);
    const std::int32_t* b = row.blended + (static_cast<std::size_t>(tap.second) * row.channels);
    std::size_t c = 0;
    for (; c + kLanes <= row.channels; c += kLanes) blend_lanes<kLanes>(a + c, b + c, factors, out + c);
    if (c < row.channels && row.channels >= kLanes) {  // the last vector overlaps the one before
      c = row.channels - kLanes;
      blend_lanes<kLanes>(a + c, b + c, factors, out + c);
      c = row.channels;
    }
    for (; c < row.channels; ++c) blend_lanes<1>(a + c, b + c, factors, out + c);
    out += row.channels;
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
