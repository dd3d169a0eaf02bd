// SPDX-License-Identifier: Apache-2.0
// Stands in for rows_avx2.cpp on other processor families.
#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {

const RowKernels* avx2_row_kernels() { return nullptr; }

}  // namespace wayside::accel::preprocess
