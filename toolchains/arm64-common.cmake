# SPDX-License-Identifier: Apache-2.0
# What all arm64 boards share: Debian's cross compiler and the sysroot that ./dev unpacks and names in WAYSIDE_SYSROOT.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
if(NOT DEFINED ENV{WAYSIDE_SYSROOT})
  message(FATAL_ERROR "WAYSIDE_SYSROOT is not set: configure arm64 boards with ./dev build BOARD, which makes the sysroot")
endif()
set(CMAKE_SYSROOT $ENV{WAYSIDE_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
# Tests run under qemu-user; the environment variable QEMU_CPU chooses the core (./dev test --cpu).
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${CMAKE_SYSROOT})
# -march and -mtune, not -mcpu: the kernel files add a -march of their own, which then replaces the board's.
set(CMAKE_C_FLAGS_INIT "${WAYSIDE_CPU_FLAGS}")
set(CMAKE_CXX_FLAGS_INIT "${WAYSIDE_CPU_FLAGS}")
