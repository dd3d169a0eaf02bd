// SPDX-License-Identifier: Apache-2.0
// ServiceManager: tells systemd that we are ready, alive, or stopping; silent when not started by systemd.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace wayside::agent {

/// Shim over sd_notify(3) and sd_watchdog_enabled(3).
class ServiceManager {
 public:
  /// `status` is one line shown by `systemctl status`.
  static void ready(std::string_view status);
  static void status(std::string_view status);
  static void stopping();
  /// Tells the watchdog that frames progress. Call at least twice per watchdog_period().
  static void alive();
  /// WatchdogSec= of the unit; nothing when there is none.
  [[nodiscard]] static std::optional<std::chrono::microseconds> watchdog_period();
};

}  // namespace wayside::agent
