// SPDX-License-Identifier: Apache-2.0
// Which instruction sets this processor, its operating system and this build offer, and the choice among them.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "accel/cpu/kernels/kernel_list.h"
#include "base/log.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace wayside::accel::cpu {
namespace {

constexpr std::array<std::pair<Level, std::string_view>, 9> kNames{{{Level::reference, "reference"},
                                                                    {Level::avx2, "avx2"},
                                                                    {Level::avx_vnni, "avx_vnni"},
                                                                    {Level::avx256_vnni, "avx256_vnni"},
                                                                    {Level::avx512_vnni, "avx512_vnni"},
                                                                    {Level::amx, "amx"},
                                                                    {Level::neon, "neon"},
                                                                    {Level::neon_dot, "neon_dot"},
                                                                    {Level::neon_i8mm, "neon_i8mm"}}};

#if defined(__x86_64__)
// The compiler's run-time checks look at CPUID and, through XGETBV, at what the kernel saves on a context switch.
bool cpu_has(Level level) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  switch (level) {
    case Level::avx2: return avx2;
    case Level::avx_vnni: return avx2 && __builtin_cpu_supports("avxvnni");
#if defined(WAYSIDE_STAND_INS)
    case Level::avx256_vnni:
#endif
    case Level::avx512_vnni:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
    default: return false;
  }
}
#elif defined(__aarch64__)
bool cpu_has(Level level) {
  // Bits of AT_HWCAP and AT_HWCAP2: Linux arch/arm64/include/uapi/asm/hwcap.h.
  constexpr unsigned long kHwcapAsimdDp = 1UL << 20;
  constexpr unsigned long kHwcap2I8mm = 1UL << 13;
  switch (level) {
    case Level::neon: return true;
    case Level::neon_dot: return (getauxval(AT_HWCAP) & kHwcapAsimdDp) != 0;
    case Level::neon_i8mm:
      return (getauxval(AT_HWCAP) & kHwcapAsimdDp) != 0 && (getauxval(AT_HWCAP2) & kHwcap2I8mm) != 0;
    default: return false;
  }
}
#else
bool cpu_has(Level) { return false; }
#endif

Level choose_level() {
  Level fastest = Level::reference;
  for (const auto& [level, name] : kNames) {
    if (level_supported(level)) fastest = level;
  }
  const char* wanted_name = std::getenv("WAYSIDE_CPU_LEVEL");
  if (wanted_name == nullptr || *wanted_name == '\0') return fastest;
  const auto wanted = parse_level(wanted_name);
  if (wanted && level_supported(*wanted)) return *wanted;
  base::log_warn("event=cpu_level_ignored WAYSIDE_CPU_LEVEL={} reason={} using={}", wanted_name,
                 wanted ? "not_supported_here" : "unknown_name", to_string(fastest));
  return fastest;
}

}  // namespace

std::string_view to_string(Level level) {
  return std::ranges::find(kNames, level, &std::pair<Level, std::string_view>::first)->second;
}

std::optional<Level> parse_level(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name, &std::pair<Level, std::string_view>::second);
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

bool level_supported(Level level) {
  if (level == Level::reference) return true;
  const bool built = std::ranges::any_of(conv_entries(), [&](const ConvEntry& entry) { return entry.level == level; });
  return built && cpu_has(level);
}

Level best_level() {
  static const Level level = choose_level();
  return level;
}

}  // namespace wayside::accel::cpu
