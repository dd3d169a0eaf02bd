// SPDX-License-Identifier: Apache-2.0
// AVX-VNNI (256-bit, VEX): vpdpbusd, u8 activations times s8 weights, four at a time, exact in int32.
#include "accel/cpu/kernels/x86_vnni.h"

namespace wayside::accel::cpu {
namespace {

struct VnniDot : VnniBytes {
  using VnniBytes::VnniBytes;
  static I add(I sum, I activations, I weights) { return _mm256_dpbusd_avx_epi32(sum, activations, weights); }
};

}  // namespace

const Isa& avx_vnni_isa() {
  static const Isa isa = [] {
    Isa made = make_isa<VnniDot>(Level::avx_vnni);
    made.row_sums = row_sums;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
