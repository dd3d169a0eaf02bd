# SPDX-License-Identifier: Apache-2.0
# Any 64-bit Arm, QEMU's virtual machine among them: Armv8.0; faster kernels are chosen at run time.
set(WAYSIDE_CPU_FLAGS "-march=armv8-a")
include(${CMAKE_CURRENT_LIST_DIR}/arm64-common.cmake)
