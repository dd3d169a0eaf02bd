// SPDX-License-Identifier: Apache-2.0
// Core choice on made-up trees of sysfs: RK3588, Raspberry Pi 5, hybrid and plain Core i5, and broken ones.
#include "accel/cpu/core_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <format>
#include <fstream>
#include <string>

namespace wayside::accel::cpu {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CoreChoiceTest : public ::testing::Test {
 protected:
  CoreChoiceTest()
      : root_(std::filesystem::path(::testing::TempDir()) / std::format("wayside_core_choice_{}", ::getpid())) {
    std::filesystem::remove_all(root_);
  }
  ~CoreChoiceTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    const auto path = root_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  void write_core(unsigned core, const std::string& file, const std::string& text) const {
    write(std::format("devices/system/cpu/cpu{}/{}", core, file), text);
  }
  [[nodiscard]] std::vector<unsigned> choose(CoreChoice choice) const {
    return choose_cores(read_cores(root_), choice);
  }

  std::filesystem::path root_;
};

/// Four A55, and two clusters of two A76 whose highest clocks differ.
TEST_F(CoreChoiceTest, Rk3588HasFourBigCores) {
  write("devices/system/cpu/online", "0-7");
  const unsigned capacity[] = {395, 395, 395, 395, 1007, 1007, 1024, 1024};
  for (unsigned core = 0; core < 8; ++core) write_core(core, "cpu_capacity", std::to_string(capacity[core]));
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(choose(CoreChoice::little), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(choose(CoreChoice::any), IsEmpty());
}

TEST_F(CoreChoiceTest, OfflineCoresAreNoChoice) {
  write("devices/system/cpu/online", "0-4,6");
  for (const unsigned core : {0U, 1U, 2U, 3U}) write_core(core, "cpu_capacity", "395");
  for (const unsigned core : {4U, 6U}) write_core(core, "cpu_capacity", "1024");
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(4, 6));
}

TEST_F(CoreChoiceTest, RaspberryPi5CoresAreAlike) {
  write("devices/system/cpu/online", "0-3");
  for (unsigned core = 0; core < 4; ++core) write_core(core, "cpu_capacity", "1024");
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(choose(CoreChoice::little), ElementsAre(0, 1, 2, 3));
}

/// Two P cores with two hardware threads each (one with a higher turbo), four E cores.
TEST_F(CoreChoiceTest, HybridCoreI5ByClock) {
  write("devices/system/cpu/online", "0-7");
  const char* clock[] = {"4900000", "4900000", "4800000", "4800000", "3700000", "3700000", "3700000", "3700000"};
  const char* siblings[] = {"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"};
  for (unsigned core = 0; core < 8; ++core) {
    write_core(core, "cpufreq/cpuinfo_max_freq", clock[core]);
    write_core(core, "topology/thread_siblings_list", siblings[core]);
  }
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(0, 2));
  EXPECT_THAT(choose(CoreChoice::little), ElementsAre(4, 5, 6, 7));
}

TEST_F(CoreChoiceTest, HybridCoreI5ByListOfAtoms) {
  write("devices/system/cpu/online", "0-5");
  write("devices/cpu_atom/cpus", "2-5");
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(0, 1));
  EXPECT_THAT(choose(CoreChoice::little), ElementsAre(2, 3, 4, 5));
}

TEST_F(CoreChoiceTest, OneThreadOfEachCoreWithoutAnySpeeds) {
  write("devices/system/cpu/online", "0-3");
  const char* siblings[] = {"0,2", "1,3", "0,2", "1,3"};
  for (unsigned core = 0; core < 4; ++core) write_core(core, "topology/thread_siblings_list", siblings[core]);
  EXPECT_THAT(choose(CoreChoice::big), ElementsAre(0, 1));
}

TEST_F(CoreChoiceTest, MissingAndBrokenTreesGiveNoChoice) {
  EXPECT_THAT(read_cores(root_), IsEmpty());
  EXPECT_THAT(choose(CoreChoice::big), IsEmpty());
  write("devices/system/cpu/online", "x-y");
  EXPECT_THAT(read_cores(root_), IsEmpty());
  write("devices/system/cpu/online", "0-1,z");
  write_core(0, "cpu_capacity", "1024");  // the other core has none: nothing is known
  EXPECT_THAT(read_cores(root_), ElementsAre(Core{.number = 0}, Core{.number = 1, .first_thread = 1}));
  write("devices/system/cpu/online", "0-4000000000");
  EXPECT_EQ(read_cores(root_).size(), 1024U);
}

TEST(CoreChoice, KeepsOnlyCoresThatTheProcessMayUse) {
  EXPECT_THAT(allowed(std::vector<unsigned>{1'000'000}), IsEmpty());
  const auto cores = read_cores("/sys");
  if (cores.empty()) GTEST_SKIP() << "no /sys here";
  EXPECT_FALSE(allowed(choose_cores(cores, CoreChoice::little)).empty());
}

}  // namespace
}  // namespace wayside::accel::cpu
