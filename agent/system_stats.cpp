// SPDX-License-Identifier: Apache-2.0
// Reads /proc/self and the thermal and hwmon classes of /sys.
#include "agent/system_stats.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace wayside::agent {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\0' || line.back() == ' '))
    line.pop_back();  // device-tree strings end in NUL
  return line;
}

std::optional<std::int64_t> read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// Files in each subdirectory of `folder` whose name starts and ends as given; empty where the class does not exist.
template <class Visit>
void each_file(const std::filesystem::path& folder, std::string_view begins, std::string_view ends, Visit visit) {
  std::error_code error;
  for (const auto& device : std::filesystem::directory_iterator(folder, error)) {
    std::error_code inner;
    for (const auto& file : std::filesystem::directory_iterator(device.path(), inner)) {
      const std::string name = file.path().filename().string();
      if (name.starts_with(begins) && name.ends_with(ends)) visit(file.path());
    }
  }
}

}  // namespace

SystemStats::SystemStats(base::Clock& clock, std::filesystem::path root)
    : clock_(clock), root_(std::move(root)), last_sample_(clock.now()), last_cpu_(cpu_time()) {}

std::chrono::nanoseconds SystemStats::cpu_time() const {
  // proc(5): utime and stime are fields 14 and 15; field 2 (the name, in brackets) may contain spaces.
  const std::string line = first_line(root_ / "proc/self/stat");
  const auto bracket = line.rfind(')');
  if (bracket == std::string::npos) return {};
  std::istringstream fields(line.substr(bracket + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::int64_t user_ticks = 0;
  std::int64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  const std::int64_t ticks_per_second = std::max(1L, ::sysconf(_SC_CLK_TCK));
  return std::chrono::nanoseconds((user_ticks + system_ticks) * (1'000'000'000 / ticks_per_second));
}

std::optional<std::int64_t> SystemStats::hottest_millic() const {
  // Sensors that are absent or broken report nonsense; a board that works is between these.
  constexpr std::int64_t kLowest = -60'000;
  constexpr std::int64_t kHighest = 200'000;
  std::optional<std::int64_t> hottest;
  const auto consider = [&](const std::filesystem::path& path) {
    const auto value = read_number(path);
    if (value && *value > kLowest && *value < kHighest && *value != 0)
      hottest = std::max(hottest.value_or(*value), *value);
  };
  each_file(root_ / "sys/class/thermal", "temp", "temp", consider);  // thermal_zoneN/temp
  each_file(root_ / "sys/class/hwmon", "temp", "_input", consider);  // hwmonN/tempM_input
  return hottest;
}

Usage SystemStats::sample() {
  Usage usage;
  std::ifstream statm(root_ / "proc/self/statm");
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (statm >> total_pages >> resident_pages) {
    usage.rss_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  const auto now = clock_.now();
  const auto cpu = cpu_time();
  if (now > last_sample_) {
    usage.cpu_percent =
        100.0 * static_cast<double>((cpu - last_cpu_).count()) / static_cast<double>((now - last_sample_).count());
  }
  last_sample_ = now;
  last_cpu_ = cpu;
  usage.temperature_millic = hottest_millic();
  return usage;
}

std::string SystemStats::boot_id() const {
  const std::string id = first_line(root_ / "proc/sys/kernel/random/boot_id");
  return id.empty() ? "unknown" : id;
}

std::string SystemStats::board_model() const {
  if (const std::string model = first_line(root_ / "proc/device-tree/model"); !model.empty()) return model;
  std::ifstream cpuinfo(root_ / "proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string SystemStats::image_facts() const {
  constexpr std::size_t kMaxBytes = 4096;
  std::ifstream file(root_ / "run/wayside/os.json");
  std::string facts(kMaxBytes + 1, '\0');
  file.read(facts.data(), static_cast<std::streamsize>(facts.size()));
  facts.resize(static_cast<std::size_t>(file.gcount()));
  return facts.size() > kMaxBytes ? "" : facts;
}

}  // namespace wayside::agent
