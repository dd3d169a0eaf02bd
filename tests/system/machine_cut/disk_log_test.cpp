// SPDX-License-Identifier: Apache-2.0
#include "tests/system/machine_cut/disk_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace wayside::test {
namespace {

/// A medium of 16 sectors of 'o' and a log that tests write.
class DiskLog : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    medium_ = testing::TempDir() + "/disk_log_medium_" + name;
    log_ = testing::TempDir() + "/disk_log_" + name;
    fresh();
  }
  void TearDown() override {
    std::filesystem::remove(medium_);
    std::filesystem::remove(log_);
  }
  void fresh() { std::ofstream(medium_) << std::string(16 * kSectorBytes, 'o'); }
  static std::string entry(std::uint64_t kind, std::uint64_t offset, const std::string& data) {
    const DiskLogEntry head{kind, offset, data.size()};
    return std::string(reinterpret_cast<const char*>(&head), sizeof head) + data;
  }
  static std::string write(unsigned sector, char with, unsigned sectors = 1) {
    return entry(kDiskWrite, sector * kSectorBytes, std::string(sectors * kSectorBytes, with));
  }
  static std::string flush() { return write(16, '!'); }
  /// One letter for each sector; '?' for a mixed one.
  std::string after(const std::string& log, DiskCache cache, std::uint64_t seed = 1) {
    std::ofstream(log_, std::ios::binary) << log;
    std::mt19937_64 random(seed);
    figures_ = apply_power_cut(log_, medium_, cache, random);
    std::ostringstream text;
    text << std::ifstream(medium_).rdbuf();
    const std::string all = text.str();
    std::string sectors;
    for (std::size_t at = 0; at < all.size(); at += kSectorBytes) {
      const bool same = all.substr(at, kSectorBytes) == std::string(kSectorBytes, all[at]);
      sectors += same ? all[at] : '?';
    }
    return sectors;
  }
  std::string medium_, log_;
  CutFigures figures_;
};

TEST_F(DiskLog, WithoutACacheEveryWriteStaysInOrder) {
  EXPECT_EQ(after(write(0, 'a', 4) + write(1, 'b') + flush() + write(2, 'c'), DiskCache::write_through),
            "abcaoooooooooooo");
  EXPECT_EQ(figures_.writes, 3);
  EXPECT_EQ(figures_.flushes, 1);
  EXPECT_EQ(figures_.unflushed, 1);
}

TEST_F(DiskLog, WhatWasFlushedStaysAndTheRestIsKeptLostOrTornInAnyCombination) {
  std::set<std::string> seen;
  unsigned torn = 0, later_outlives_earlier = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    fresh();
    const auto sectors = after(write(0, 'a', 4) + flush() + write(0, 'b') + write(4, 'c', 4) + write(8, 'd'),
                               DiskCache::volatile_, seed);
    EXPECT_EQ(sectors.substr(1, 3), "aaa") << "flushed";
    EXPECT_EQ(sectors.substr(9), "ooooooo") << "never written";
    EXPECT_EQ(sectors.find('?'), std::string::npos) << "a sector is whole";
    torn += sectors.substr(4, 4) != "cccc" && sectors.substr(4, 4) != "oooo" ? 1 : 0;
    later_outlives_earlier += sectors[0] == 'a' && sectors[8] == 'd' ? 1 : 0;
    seen.insert(sectors);
  }
  EXPECT_GT(torn, 5U);
  EXPECT_GT(later_outlives_earlier, 20U);
  EXPECT_GE(seen.size(), 8U);
}

TEST_F(DiskLog, AWriteUnderWayLeavesItsWholeSectors) {
  std::string log = write(0, 'a', 3);
  log.resize(log.size() - kSectorBytes - 7);
  EXPECT_EQ(after(log, DiskCache::write_through), "aooooooooooooooo");
  log.resize(sizeof(DiskLogEntry) / 2);  // its head only
  fresh();
  EXPECT_EQ(after(log, DiskCache::write_through), "oooooooooooooooo");
}

TEST_F(DiskLog, ALyingDiskLosesWhatWasFlushed) {
  unsigned lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    fresh();
    lost += after(write(0, 'a') + flush(), DiskCache::lying, seed)[0] == 'o' ? 1 : 0;
  }
  EXPECT_GT(lost, 5U);
}

TEST_F(DiskLog, AFileThatIsNoLogIsRefused) {
  EXPECT_THROW(after(std::string(100, 'x'), DiskCache::write_through), std::runtime_error);
}

}  // namespace
}  // namespace wayside::test
