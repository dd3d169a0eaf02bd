# SPDX-License-Identifier: Apache-2.0
# Raspberry Pi 5 with Hailo-8 (BCM2712): four Cortex-A76, Armv8.2 with dot product.
set(WAYSIDE_CPU_FLAGS "-march=armv8.2-a+crypto+fp16+rcpc+dotprod -mtune=cortex-a76")
include(${CMAKE_CURRENT_LIST_DIR}/arm64-common.cmake)
