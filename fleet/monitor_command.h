// SPDX-License-Identifier: Apache-2.0
// `wayside monitor`: connects to a broker and shows one device live.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace wayside::fleet {

struct MonitorOptions {
  std::string host = "localhost";
  std::uint16_t port = 1883;
  std::string root = "te";
  std::string device;  ///< empty: the first that is heard
  std::string username;
  std::filesystem::path password_file;
  std::filesystem::path ca, cert, key;
  std::optional<unsigned> seconds;       ///< absent: until Ctrl-C
  std::optional<std::string> json_file;  ///< final summary as JSON; "-": standard output, without the live table
};

/// Exit code: 0 when telemetry was seen, 1 when not (and a reason on standard error).
int monitor_command(const MonitorOptions& options);

}  // namespace wayside::fleet
