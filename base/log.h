// SPDX-License-Identifier: Apache-2.0
// Logging: one process-wide logger, lines of key=value; levels error (needs action), warn, info (state changes), debug.
#pragma once

#include <format>
#include <string_view>

namespace wayside::base {

enum class LogLevel { debug, info, warn, error };

/// Sets the level and writes to stderr from here on. Call once in main, before threads start. Default: info.
void init_logging(LogLevel level);
/// "debug", "info", "warn", "error"; anything else gives false and leaves the level alone.
bool parse_log_level(std::string_view name, LogLevel& level);
[[nodiscard]] bool log_enabled(LogLevel level);
/// Writes one line; newlines and other control characters inside are escaped, so that input cannot forge lines.
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log_debug(std::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::debug)) log_line(LogLevel::debug, std::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(std::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::info)) log_line(LogLevel::info, std::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warn(std::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::warn)) log_line(LogLevel::warn, std::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(std::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::error)) log_line(LogLevel::error, std::format(format, std::forward<Args>(args)...));
}

}  // namespace wayside::base
