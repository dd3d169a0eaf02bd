// SPDX-License-Identifier: Apache-2.0
// Logging over spdlog (the only file that includes it).
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

namespace wayside::base {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("wayside", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
    made.set_level(spdlog::level::info);
    return made;
  }();
  return instance;
}

std::string escape_controls(std::string_view line) {
  std::string out;
  out.reserve(line.size());
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += std::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void init_logging(LogLevel level) { logger().set_level(to_spdlog(level)); }

bool parse_log_level(std::string_view name, LogLevel& level) {
  if (name == "debug")
    level = LogLevel::debug;
  else if (name == "info")
    level = LogLevel::info;
  else if (name == "warn")
    level = LogLevel::warn;
  else if (name == "error")
    level = LogLevel::error;
  else
    return false;
  return true;
}

bool log_enabled(LogLevel level) { return logger().should_log(to_spdlog(level)); }

void log_line(LogLevel level, std::string_view line) { logger().log(to_spdlog(level), escape_controls(line)); }

}  // namespace wayside::base
