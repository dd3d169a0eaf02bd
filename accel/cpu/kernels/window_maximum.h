// SPDX-License-Identifier: Apache-2.0
// The maximum over a window, for vectors of any instruction set: included by files with their own flags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {
namespace {

/// Vectors of the compiler: one source, whose comparison and choice are the maximum of the instruction set.
template <class T, int kBytes>
struct Bytes {
  typedef T Vector __attribute__((vector_size(kBytes)));
};

template <class T, int kBytes>
[[gnu::always_inline]] inline void maximum_at(const MaximumArgs& args, std::size_t at) {
  using Vector = typename Bytes<T, kBytes>::Vector;
  Vector largest = Vector{} + static_cast<T>(args.clamp_min);
  const std::uint8_t* row = args.in + at;
  for (std::size_t y = 0; y < args.rows; ++y, row += args.row_step) {
    const std::uint8_t* pixel = row;
    for (std::size_t x = 0; x < args.columns; ++x, pixel += args.column_step) {
      Vector values;
      std::memcpy(&values, pixel, sizeof values);
      largest = largest > values ? largest : values;
    }
  }
  const Vector most = Vector{} + static_cast<T>(args.clamp_max);
  largest = largest < most ? largest : most;
  std::memcpy(args.out + at, &largest, sizeof largest);
}

/// The last vector of a count that does not divide is done again where it overlaps the one before.
template <class T, int kBytes>
void window_maximum_of(const MaximumArgs& args) {
  constexpr auto kStep = static_cast<std::size_t>(kBytes);
  if (args.count < kStep) {
    if constexpr (kBytes > 1) window_maximum_of<T, kBytes / 2>(args);
    return;
  }
  std::size_t at = 0;
  for (; at + kStep <= args.count; at += kStep) maximum_at<T, kBytes>(args, at);
  if (at < args.count) maximum_at<T, kBytes>(args, args.count - kStep);
}

template <int kBytes>
void window_maximum_bytes(const MaximumArgs& args) {
  if (args.is_unsigned) {
    window_maximum_of<std::uint8_t, kBytes>(args);
  } else {
    window_maximum_of<std::int8_t, kBytes>(args);
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
