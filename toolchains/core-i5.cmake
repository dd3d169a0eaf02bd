# SPDX-License-Identifier: Apache-2.0
# Core i5 since 2013 (Haswell): x86-64-v3, which means AVX2 and FMA everywhere; AVX-VNNI and AVX-512 are chosen at run time.
set(CMAKE_C_FLAGS_INIT "-march=x86-64-v3")
set(CMAKE_CXX_FLAGS_INIT "-march=x86-64-v3")
