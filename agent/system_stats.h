// SPDX-License-Identifier: Apache-2.0
// SystemStats: memory, CPU share, temperature and boot identity of this process and board, from /proc and /sys.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.h"

namespace wayside::agent {

struct Usage {
  std::uint64_t rss_bytes = 0;
  double cpu_percent = 0;                          ///< of one core, since the last sample; may exceed 100
  std::optional<std::int64_t> temperature_millic;  ///< the hottest sensor in thousandths of a degree Celsius
};

/// One owner thread. `root` is put before /proc and /sys (tests).
class SystemStats {
 public:
  explicit SystemStats(base::Clock& clock, std::filesystem::path root = "/");

  /// The first call gives the CPU share since construction.
  [[nodiscard]] Usage sample();
  /// The kernel's random id of this boot; "unknown" where there is none.
  [[nodiscard]] std::string boot_id() const;
  /// First line of /proc/device-tree/model, else the CPU's name, else "unknown".
  [[nodiscard]] std::string board_model() const;
  /// What a firmware image says about itself (/run/wayside/os.json, at most 4 KiB); empty where there is none.
  [[nodiscard]] std::string image_facts() const;

 private:
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const;
  [[nodiscard]] std::optional<std::int64_t> hottest_millic() const;

  base::Clock& clock_;
  std::filesystem::path root_;
  base::MonotonicTime last_sample_;
  std::chrono::nanoseconds last_cpu_;
};

}  // namespace wayside::agent
