// SPDX-License-Identifier: Apache-2.0
// Reads /sys/devices/system/cpu; files of the kernel, but read as if anything could be in them.
#include "accel/cpu/core_choice.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <format>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace wayside::accel::cpu {
namespace {

constexpr unsigned kMaxCores = 1024;

std::optional<std::string> read_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

std::optional<std::uint64_t> read_number(const std::filesystem::path& file) {
  const auto line = read_line(file);
  if (!line) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// The kernel's list format: "0-3,8,10-11". Stops at what it does not understand.
std::vector<unsigned> parse_list(std::string_view text) {
  std::vector<unsigned> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    unsigned first = 0, last = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc{}) break;
    last = first;
    if (parsed.ptr < end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc{}) break;
    }
    for (unsigned number = first; number <= std::min(last, kMaxCores - 1); ++number) numbers.push_back(number);
    if (parsed.ptr == end || *parsed.ptr != ',') break;
    at = parsed.ptr + 1;
  }
  return numbers;
}

/// Sets every core's speed from `speed_of(number)`; false, and nothing is changed, when one has none.
template <class SpeedOf>
bool set_speeds(std::vector<Core>& cores, const SpeedOf& speed_of) {
  std::vector<std::uint64_t> speeds;
  for (const Core& core : cores) {
    const std::optional<std::uint64_t> speed = speed_of(core.number);
    if (!speed) return false;
    speeds.push_back(*speed);
  }
  for (std::size_t i = 0; i < cores.size(); ++i) cores[i].speed = speeds[i];
  return true;
}

}  // namespace

std::vector<Core> read_cores(const std::filesystem::path& sysfs) {
  const auto folder = sysfs / "devices/system/cpu";
  const auto of_core = [&](unsigned number, std::string_view file) {
    return folder / std::format("cpu{}", number) / file;
  };
  std::vector<Core> cores;
  for (const unsigned number : parse_list(read_line(folder / "online").value_or(""))) {
    const auto siblings = parse_list(read_line(of_core(number, "topology/thread_siblings_list")).value_or(""));
    cores.push_back({.number = number, .first_thread = siblings.empty() ? number : siblings.front()});
  }
  if (set_speeds(cores, [&](unsigned number) { return read_number(of_core(number, "cpu_capacity")); })) return cores;
  if (const auto line = read_line(sysfs / "devices/cpu_atom/cpus")) {
    const auto atoms = parse_list(*line);
    set_speeds(cores, [&](unsigned number) -> std::optional<std::uint64_t> {
      return std::ranges::find(atoms, number) == atoms.end() ? 2 : 1;
    });
    return cores;
  }
  set_speeds(cores, [&](unsigned number) { return read_number(of_core(number, "cpufreq/cpuinfo_max_freq")); });
  return cores;
}

std::vector<unsigned> choose_cores(std::span<const Core> cores, CoreChoice choice) {
  std::vector<unsigned> chosen;
  if (choice == CoreChoice::any || cores.empty()) return chosen;
  const std::uint64_t best = std::ranges::max(cores, {}, &Core::speed).speed;
  const auto is_big = [best](const Core& core) { return core.speed >= best - best / 5; };
  const bool all_big = std::ranges::all_of(cores, is_big);
  for (const Core& core : cores) {
    const bool wanted =
        choice == CoreChoice::big ? is_big(core) && core.first_thread == core.number : all_big || !is_big(core);
    if (wanted) chosen.push_back(core.number);
  }
  return chosen;
}

std::vector<unsigned> allowed(std::span<const unsigned> cores) {
  cpu_set_t set;
  std::vector<unsigned> result;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return result;
  std::ranges::copy_if(cores, std::back_inserter(result),
                       [&set](unsigned core) { return core < CPU_SETSIZE && CPU_ISSET(core, &set); });
  return result;
}

}  // namespace wayside::accel::cpu
