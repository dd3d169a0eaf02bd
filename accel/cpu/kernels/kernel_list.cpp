// SPDX-License-Identifier: Apache-2.0
// The kernel list and make_conv(): the first entry at or below the wanted level that covers the shape.
#include "accel/cpu/kernels/kernel_list.h"

#include <array>

namespace wayside::accel::cpu {
namespace {

constexpr std::array kEntries{
    ConvEntry{Level::reference, "reference", make_reference_conv},
};

}  // namespace

std::span<const ConvEntry> conv_entries() { return kEntries; }

bool level_includes(Level chosen, Level entry) {
  if (entry == Level::reference) return true;
  return (chosen >= Level::neon) == (entry >= Level::neon) && entry <= chosen;
}

std::unique_ptr<ConvKernel> make_conv(const ConvSpec& spec, Level level) {
  for (const auto& entry : kEntries) {
    if (!level_includes(level, entry.level) || !level_supported(entry.level)) continue;
    if (auto kernel = entry.make(spec)) return kernel;
  }
  return make_reference_conv(spec);
}

}  // namespace wayside::accel::cpu
