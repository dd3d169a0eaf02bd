// SPDX-License-Identifier: Apache-2.0
// The only file that includes libsystemd.
#include "agent/service_manager.h"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <string>

namespace wayside::agent {

void ServiceManager::ready(std::string_view status) {
  (void)::sd_notify(0, ("READY=1\nSTATUS=" + std::string(status)).c_str());
}

void ServiceManager::status(std::string_view status) {
  (void)::sd_notify(0, ("STATUS=" + std::string(status)).c_str());
}

void ServiceManager::stopping() { (void)::sd_notify(0, "STOPPING=1"); }

void ServiceManager::alive() { (void)::sd_notify(0, "WATCHDOG=1"); }

std::optional<std::chrono::microseconds> ServiceManager::watchdog_period() {
  std::uint64_t period_us = 0;
  if (::sd_watchdog_enabled(0, &period_us) <= 0) return std::nullopt;
  return std::chrono::microseconds(period_us);
}

}  // namespace wayside::agent
