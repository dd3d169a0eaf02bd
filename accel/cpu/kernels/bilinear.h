// SPDX-License-Identifier: Apache-2.0
// One output row of a bilinear resize of i8 pictures, in the fixed point of TFLite's reference kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

inline constexpr int kBilinearBits = 10;  ///< fraction bits of a weight

/// The two neighbours of an output row or column and the weight of the second, in units of 2^-kBilinearBits. Where both
/// are the same the weight may be anything.
struct BilinearTap {
  std::int32_t first = 0, second = 0;
  std::int32_t weight = 0;
};

/// out[x*channels + c] = round(sum of the four neighbours' values times their weights in both directions), halves away
/// from zero. Source: reference/resize_bilinear.h ResizeBilinearInteger. The value of a pixel is blended between the
/// two rows first and then between the columns: the same integer, below 2^31 in all (modulo 2^32 on the way).
struct BilinearRow {
  const std::int8_t* top = nullptr;  ///< in_elements values each
  const std::int8_t* bottom = nullptr;
  std::size_t in_elements = 0;  ///< pixels of a row * channels
  std::size_t channels = 0;
  std::int32_t bottom_weight = 0;
  std::span<const BilinearTap> columns;
  std::int32_t* blended = nullptr;  ///< scratch, in_elements values
  std::int8_t* out = nullptr;       ///< columns.size() * channels values
};

using BilinearFunction = void (*)(const BilinearRow&);
/// Never null.
[[nodiscard]] BilinearFunction bilinear_row(Level level);

#if defined(__x86_64__)
void bilinear_row_avx2(const BilinearRow& row);
#endif

}  // namespace wayside::accel::cpu
