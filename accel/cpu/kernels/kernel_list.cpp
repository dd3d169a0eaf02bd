// SPDX-License-Identifier: Apache-2.0
// The kernel list and make_conv(): the first entry at or below the wanted level that covers the shape.
#include "accel/cpu/kernels/kernel_list.h"

#include <array>
#include <functional>
#include <numeric>

#include "accel/cpu/kernels/conv_depthwise_arm.h"
#include "accel/cpu/kernels/isa.h"
#include "accel/cpu/kernels/packed_conv.h"
#include "accel/cpu/kernels/spec_math.h"
#include "base/log.h"

namespace wayside::accel::cpu {
namespace {

template <const Isa& (*kIsa)()>
std::unique_ptr<ConvKernel> gemm(const ConvSpec& spec) {
  return make_gemm_conv(spec, kIsa());
}
template <const Isa& (*kIsa)()>
std::unique_ptr<ConvKernel> depthwise(const ConvSpec& spec) {
  return make_depthwise_conv(spec, kIsa());
}

#if defined(__aarch64__)
template <const WindowIsa& (*kIsa)()>
std::unique_ptr<ConvKernel> window(const ConvSpec& spec) {
  return make_window_conv(spec, kIsa());
}
/// Whether two weights of -128 are summed in 16 bits before they are widened: the same byte of two neighbouring groups.
bool least_weights_meet(std::span<const std::byte> packed, std::size_t k_group_count) {
  constexpr std::size_t kGroupBytes = kBlockLanes * 4;
  const auto is_least = [](std::byte a, std::byte b) { return a == std::byte{0x80} && b == a; };
  for (std::size_t block = 0; block < packed.size(); block += k_group_count * kGroupBytes) {
    for (std::size_t group = 0; group + 2 <= k_group_count; group += 2) {
      const auto first = packed.subspan(block + (group * kGroupBytes), kGroupBytes);
      const auto second = packed.subspan(block + ((group + 1) * kGroupBytes), kGroupBytes);
      if (std::inner_product(first.begin(), first.end(), second.begin(), false, std::logical_or<>(), is_least))
        return true;
    }
  }
  return false;
}

std::unique_ptr<ConvKernel> gemm_bytes(const ConvSpec& spec) {
  auto kernel = make_gemm_conv(spec, neon_bytes_isa());
  PackedConv packed;
  if (kernel == nullptr || !kernel->get_packed(packed)) return nullptr;
  const auto k_elements = static_cast<std::size_t>(spec.kernel_h) * spec.kernel_w * spec.in_c;
  return least_weights_meet(packed.weights, divide_up(k_elements, 4)) ? nullptr : std::move(kernel);
}
#endif

std::unique_ptr<ConvKernel> reference(const ConvSpec& spec) {
  return spec.packed != nullptr ? nullptr : make_reference_conv(spec);
}

constexpr std::array kEntries{
#if defined(__x86_64__)
    ConvEntry{Level::avx512_vnni, "gemm", gemm<avx512_vnni_isa>},
    ConvEntry{Level::avx512_vnni, "depthwise", depthwise<avx512_vnni_isa>},
#if defined(WAYSIDE_STAND_INS)
    ConvEntry{Level::avx256_vnni, "gemm", gemm<avx256_vnni_isa>},
    ConvEntry{Level::avx256_vnni, "depthwise", depthwise<avx256_vnni_isa>},
#endif
    ConvEntry{Level::avx_vnni, "gemm", gemm<avx_vnni_isa>},
    ConvEntry{Level::avx_vnni, "depthwise", depthwise<avx_vnni_isa>},
    ConvEntry{Level::avx2, "gemm", gemm<avx2_isa>},
    ConvEntry{Level::avx2, "depthwise", depthwise<avx2_isa>},
#elif defined(__aarch64__)
    ConvEntry{Level::neon_i8mm, "gemm", gemm<neon_i8mm_isa>},
    ConvEntry{Level::neon_dot, "gemm", gemm<neon_dot_isa>},
    ConvEntry{Level::neon_dot, "depthwise_3x3", window<neon_dot_window_isa>},
    ConvEntry{Level::neon_dot, "depthwise", depthwise<neon_dot_isa>},
    ConvEntry{Level::neon, "gemm_bytes", gemm_bytes},
    ConvEntry{Level::neon, "gemm", gemm<neon_isa>},
    ConvEntry{Level::neon, "depthwise_3x3", window<neon_window_isa>},
    ConvEntry{Level::neon, "depthwise", depthwise<neon_isa>},
#endif
    ConvEntry{Level::reference, "reference", reference},
};

}  // namespace

std::span<const ConvEntry> conv_entries() { return kEntries; }

bool level_includes(Level chosen, Level entry) {
  if (entry == Level::reference) return true;
  return (chosen >= Level::neon) == (entry >= Level::neon) && entry <= chosen;
}

std::unique_ptr<ConvKernel> make_conv(const ConvSpec& spec, Level level) {
  if (spec.packed != nullptr && spec.packed->entry >= kEntries.size()) return nullptr;
  for (const auto& entry : kEntries) {
    const auto number = static_cast<std::uint32_t>(&entry - kEntries.data());
    if (!level_includes(level, entry.level) || !level_supported(entry.level)) continue;
    if (spec.packed != nullptr && spec.packed->entry != number) continue;
    if (entry.level == Level::reference && level != Level::reference) {
      base::log_debug("event=conv_without_fast_kernel level={} in={}x{}x{} out_c={} kernel={}x{} depthwise={}",
                      to_string(level), spec.in_h, spec.in_w, spec.in_c, spec.out_c, spec.kernel_h, spec.kernel_w,
                      spec.depthwise);
    }
    auto kernel = entry.make(spec);
    if (kernel == nullptr) continue;
    kernel->entry = number;
    return kernel;
  }
  return nullptr;  // only with spec.packed: the reference covers everything
}

}  // namespace wayside::accel::cpu
