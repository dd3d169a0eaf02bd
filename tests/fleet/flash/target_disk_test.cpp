// SPDX-License-Identifier: Apache-2.0
// Which disks may be written over, on made-up kernel tables: cards, mounted disks, members of other devices.
#include "fleet/flash/target_disk.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace wayside::fleet {
namespace {

namespace fs = std::filesystem;
using base::Code;

struct TargetDiskTest : testing::Test {
  fs::path folder;
  KernelView view;

  void SetUp() override {
    folder = fs::path(testing::TempDir()) / ("target_disk." + std::to_string(::getpid()));
    fs::remove_all(folder);
    view = {.sys = folder / "sys", .proc = folder / "proc", .dev = folder / "dev"};
    fs::create_directories(view.sys / "class" / "block");
    fs::create_directories(view.proc / "self");
    add_disk("sda", "8:0", "pci0000:00/ata1", 500'000'000, false);
    add_partition("sda", "sda1", "8:1", "pci0000:00/ata1");
    add_disk("sdb", "8:16", "pci0000:00/usb1/1-2", 31'000'000, false);
    add_partition("sdb", "sdb1", "8:17", "pci0000:00/usb1/1-2");
    add_disk("mmcblk0", "179:0", "platform/mmc_host/mmc0", 62'000'000, false);
    put(view.proc / "swaps", "Filename Type Size Used Priority\n");
    mounts("25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
  }
  void TearDown() override { fs::remove_all(folder); }

  static void put(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void mounts(const std::string& lines) { put(view.proc / "self" / "mountinfo", lines); }
  fs::path place(const std::string& bus, const std::string& name) {
    return view.sys / "devices" / bus / "block" / name;
  }
  void add_disk(const std::string& name, const std::string& number, const std::string& bus, std::uint64_t sectors,
                bool removable) {
    const auto disk = place(bus, name);
    put(disk / "dev", number + "\n");
    put(disk / "size", std::to_string(sectors) + "\n");
    put(disk / "ro", "0\n");
    put(disk / "removable", removable ? "1\n" : "0\n");
    put(disk / "device" / "model", "Disk " + name + "  \n");
    fs::create_directories(disk / "holders");
    fs::create_directory_symlink(disk, view.sys / "class" / "block" / name);
  }
  void add_partition(const std::string& disk, const std::string& name, const std::string& number,
                     const std::string& bus) {
    const auto part = place(bus, disk) / name;
    put(part / "dev", number + "\n");
    put(part / "partition", "1\n");
    fs::create_directories(part / "holders");
    fs::create_directory_symlink(part, view.sys / "class" / "block" / name);
  }
  base::Result<void> permit(const std::string& name, std::uint64_t bytes = 1000, bool fixed_disk = false) {
    const auto disk = read_disk(name, view);
    if (!disk) return std::unexpected(disk.error());
    return may_overwrite(*disk, bytes, {fixed_disk});
  }
  void refuses(const std::string& name, const std::string& because, bool fixed_disk = true) {
    const auto allowed = permit(name, 1000, fixed_disk);
    ASSERT_FALSE(allowed) << name;
    EXPECT_NE(allowed.error().message.find(because), std::string::npos) << allowed.error().message;
  }
};

TEST_F(TargetDiskTest, AnIdleCardMayBeWritten) {
  EXPECT_TRUE(permit("sdb"));
  EXPECT_TRUE(permit("mmcblk0"));
  const auto disk = read_disk("sdb", view);
  EXPECT_EQ(disk->describe(), "sdb: Disk sdb, 15.9 GB, removable");
}

TEST_F(TargetDiskTest, TheDiskOfTheRootIsRefusedWhateverIsSaid) { refuses("sda", "/dev/sda1 is mounted on /"); }

TEST_F(TargetDiskTest, AMountedPartitionIsRefusedByNumberAndBySource) {
  mounts("30 1 8:17 / /media/my\\040card rw - vfat /dev/sdb1 rw\n");
  refuses("sdb", "/dev/sdb1 is mounted on /media/my card");
  mounts("30 1 0:41 /@ /mnt rw - btrfs /dev/sdb1 rw\n");
  refuses("sdb", "mounted on /mnt");
}

TEST_F(TargetDiskTest, SwapAndMembersOfOtherDevicesAreRefused) {
  put(view.proc / "swaps", "Filename Type\n/dev/sdb1 partition 1000 0 -2\n");
  refuses("sdb", "/dev/sdb1 is swap space");
  put(view.proc / "swaps", "Filename Type\n");
  fs::create_directories(place("pci0000:00/usb1/1-2", "sdb") / "sdb1" / "holders" / "dm-0");
  refuses("sdb", "/dev/sdb1 is in use by dm-0");
}

TEST_F(TargetDiskTest, InternalDisksNeedPermission) {
  mounts("");
  refuses("sda", "--fixed-disk", false);
  EXPECT_TRUE(permit("sda", 1000, true));
}

TEST_F(TargetDiskTest, ReadOnlyTooSmallAndPartitionsAreRefused) {
  put(place("pci0000:00/usb1/1-2", "sdb") / "ro", "1\n");
  refuses("sdb", "read-only");
  const auto small = permit("mmcblk0", 62'000'000ULL * 512 + 1);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, Code::exhausted);
  EXPECT_TRUE(permit("mmcblk0", 62'000'000ULL * 512));
  refuses("sdb1", "/dev/sdb1 is a partition; an image needs the whole disk: /dev/sdb");
}

TEST_F(TargetDiskTest, UnknownNodesAndPlainFilesAreNamed) {
  EXPECT_EQ(read_disk("sdz", view).error().code, Code::not_found);
  EXPECT_EQ(examine_disk(folder / "absent", view).error().code, Code::not_found);
  put(folder / "plain", "x");
  EXPECT_EQ(examine_disk(folder / "plain", view).error().code, Code::invalid_argument);
  EXPECT_EQ(examine_disk("/dev/null", view).error().code, Code::invalid_argument);
}

TEST_F(TargetDiskTest, TheListHasWholeDisksWithTheirUses) {
  add_disk("zram0", "252:0", "virtual", 1000, false);
  add_disk("sdc", "8:32", "pci0000:00/usb1/1-3", 0, true);  // a reader without a card
  const auto disks = list_disks(view);
  ASSERT_TRUE(disks);
  ASSERT_EQ(disks->size(), 3U);
  EXPECT_EQ((*disks)[1].name, "sda");
  EXPECT_EQ((*disks)[1].uses, std::vector<std::string>{"/dev/sda1 is mounted on /"});
}

}  // namespace
}  // namespace wayside::fleet
