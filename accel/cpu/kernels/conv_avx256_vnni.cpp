// SPDX-License-Identifier: Apache-2.0
// The AVX-VNNI kernels with AVX512VL encoding, 256 bits wide: what AVX-VNNI code does can be tested and timed on
// processors that have the wide form of the instruction alone.
#include "accel/cpu/kernels/x86_vnni.h"

namespace wayside::accel::cpu {
namespace {

struct VnniDot : VnniBytes {
  using VnniBytes::VnniBytes;
  static I add(I sum, I activations, I weights) { return _mm256_dpbusd_epi32(sum, activations, weights); }
};

}  // namespace

const Isa& avx256_vnni_isa() {
  static const Isa isa = [] {
    Isa made = make_isa<VnniDot>(Level::avx256_vnni);
    made.row_sums = row_sums;
    return made;
  }();
  return isa;
}

}  // namespace wayside::accel::cpu
