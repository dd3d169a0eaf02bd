// SPDX-License-Identifier: Apache-2.0
// Bilinear rows with the baseline's vectors, and the choice of a better set.
#include "accel/cpu/kernels/bilinear.h"

#include "accel/cpu/kernels/bilinear_loops.h"
#include "accel/cpu/kernels/kernel_list.h"

namespace wayside::accel::cpu {

BilinearFunction bilinear_row([[maybe_unused]] Level level) {
#if defined(__x86_64__)
  if (level_includes(level, Level::avx2) && level_supported(Level::avx2)) return bilinear_row_avx2;
#endif
  return make_bilinear_row<4>;
}

}  // namespace wayside::accel::cpu
