# SPDX-License-Identifier: Apache-2.0
# Rock 5 ITX (RK3588): four Cortex-A76 and four Cortex-A55; what both have, tuned for the large ones.
set(WAYSIDE_CPU_FLAGS "-march=armv8.2-a+crypto+fp16+rcpc+dotprod -mtune=cortex-a76")
include(${CMAKE_CURRENT_LIST_DIR}/arm64-common.cmake)
