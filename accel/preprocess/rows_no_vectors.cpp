// SPDX-License-Identifier: Apache-2.0
// Stands in for the vector row kernels on processor families that have none.
#include "accel/preprocess/row_kernels.h"

namespace wayside::accel::preprocess {

const RowKernels* vector_row_kernels() { return nullptr; }

}  // namespace wayside::accel::preprocess
