# SPDX-License-Identifier: Apache-2.0
# Jetson Nano (Tegra X1): four Cortex-A57, Armv8.0 with CRC and AES; no dot product, no LSE atomics.
set(WAYSIDE_CPU_FLAGS "-march=armv8-a+crc+crypto -mtune=cortex-a57")
include(${CMAKE_CURRENT_LIST_DIR}/arm64-common.cmake)
