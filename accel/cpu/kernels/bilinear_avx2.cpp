// SPDX-License-Identifier: Apache-2.0
// Bilinear rows for AVX2.
#include "accel/cpu/kernels/bilinear_loops.h"

namespace wayside::accel::cpu {

void bilinear_row_avx2(const BilinearRow& row) { make_bilinear_row<8>(row); }

}  // namespace wayside::accel::cpu
