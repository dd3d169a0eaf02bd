// SPDX-License-Identifier: Apache-2.0
// Which processor cores the engine's threads may run on: big.LITTLE and hybrid processors told apart by sysfs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "accel/accelerator.h"

namespace wayside::accel::cpu {

struct Core {
  unsigned number = 0;
  std::uint64_t speed = 0;    ///< only comparable among the cores of one machine
  unsigned first_thread = 0;  ///< lowest number of the hardware threads that share this core's arithmetic units
  friend bool operator==(const Core&, const Core&) = default;
};

/// The online cores of the machine; empty where sysfs does not tell. `speed` comes from the first of these that all
/// cores have (kernel documentation: ABI/testing/sysfs-devices-system-cpu, admin-guide/pm/cpufreq):
///   cpuN/cpu_capacity            arm64 with big.LITTLE (RK3588: 1024 and about 400), newer hybrid x86
///   devices/cpu_atom/cpus        Intel's E cores, where present: 1, the others 2
///   cpuN/cpufreq/cpuinfo_max_freq
/// else all are alike. `sysfs` is /sys, or a made-up tree in tests.
[[nodiscard]] std::vector<Core> read_cores(const std::filesystem::path& sysfs);

/// big: cores with at least 4/5 of the best speed, one hardware thread of each: the clusters of an RK3588 differ by a
/// few percent among its big cores, the P cores of a Core i5 by their turbo steps, little and E cores reach at most
/// 0.77. little: the others, or all where there are none. any: none, that is: no choice.
[[nodiscard]] std::vector<unsigned> choose_cores(std::span<const Core> cores, CoreChoice choice);

/// The numbers in `cores` that this process is allowed to use now.
[[nodiscard]] std::vector<unsigned> allowed(std::span<const unsigned> cores);

}  // namespace wayside::accel::cpu
