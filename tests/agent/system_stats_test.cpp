// SPDX-License-Identifier: Apache-2.0
// SystemStats on a made-up /proc and /sys, and on the real ones.
#include "agent/system_stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

void put(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

std::string stat_line(int user_ticks) {
  return "1 (a name) with) S 1 1 1 0 -1 0 0 0 0 0 " + std::to_string(user_ticks) + " 0 0 0 20 0 1 0 0 0 0\n";
}

TEST(SystemStats, ReadsAMadeUpBoard) {
  test::TempDir root;
  put(root.path() / "proc/self/statm", "1000 25 7 1 0 9 0\n");
  put(root.path() / "proc/self/stat", stat_line(100));
  put(root.path() / "proc/sys/kernel/random/boot_id", "0000-1111\n");
  put(root.path() / "proc/device-tree/model", std::string("Raspberry Pi 5 Model B\0", 23));
  put(root.path() / "sys/class/thermal/thermal_zone0/temp", "51250\n");
  put(root.path() / "sys/class/hwmon/hwmon0/temp1_input", "-274000\n");  // a broken sensor
  put(root.path() / "sys/class/hwmon/hwmon0/temp2_input", "61000\n");
  put(root.path() / "sys/class/hwmon/hwmon0/temp2_crit", "100000\n");
  base::ManualClock clock;
  SystemStats stats(clock, root.path());
  put(root.path() / "proc/self/stat", stat_line(100 + static_cast<int>(::sysconf(_SC_CLK_TCK)) / 2));
  clock.advance(std::chrono::seconds(2));
  const auto usage = stats.sample();
  EXPECT_EQ(usage.rss_bytes, 25U * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_NEAR(usage.cpu_percent, 25.0, 0.01);
  EXPECT_EQ(usage.temperature_millic, 61000);
  EXPECT_EQ(stats.boot_id(), "0000-1111");
  EXPECT_EQ(stats.board_model(), "Raspberry Pi 5 Model B");
}

TEST(SystemStats, FactsOfTheImageAreBounded) {
  test::TempDir root;
  base::ManualClock clock;
  const SystemStats stats(clock, root.path());
  EXPECT_EQ(stats.image_facts(), "");
  put(root.path() / "run/wayside/os.json", R"({"slot":"B"})");
  EXPECT_EQ(stats.image_facts(), R"({"slot":"B"})");
  put(root.path() / "run/wayside/os.json", std::string(4097, ' '));
  EXPECT_EQ(stats.image_facts(), "");
}

TEST(SystemStats, AnEmptySystemIsNoError) {
  test::TempDir root;
  base::ManualClock clock;
  SystemStats stats(clock, root.path());
  const auto usage = stats.sample();
  EXPECT_EQ(usage.rss_bytes, 0U);
  EXPECT_FALSE(usage.temperature_millic);
  EXPECT_EQ(stats.boot_id(), "unknown");
}

TEST(SystemStats, ThisProcessHasMemoryAndABoot) {
  SystemStats stats(base::Clock::real());
  EXPECT_GT(stats.sample().rss_bytes, 100'000U);
  EXPECT_NE(stats.boot_id(), "");
}

}  // namespace
}  // namespace wayside::agent
