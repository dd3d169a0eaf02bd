// SPDX-License-Identifier: Apache-2.0
// wayside flash, the real program onto a real block device (a loop device); skipped where none can be had.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/unique_fd.h"
#include "tests/fleet/flash/disk_images.h"
#include "tests/support/shell.h"

namespace wayside::fleet {
namespace {

constexpr std::size_t kImageBytes = 2 * 1024 * 1024 + 4096;
constexpr std::size_t kDiskBytes = 8 * 1024 * 1024;

struct FlashCommandTest : testing::Test {
  std::filesystem::path folder;
  base::UniqueFd backing, loop;
  std::string node;
  const std::string image = made_up_image(kImageBytes);

  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) / ("flash_command." + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    write_file(folder / "image.img", image);
    write_file(folder / "image.img.zst", compressed(image));
    write_file(folder / "image.img.bmap",
               sealed_block_map(kImageBytes, range_of(image, 0, 100) + range_of(image, 400, 512)));
    write_file(folder / "disk", std::string(kDiskBytes, 'o'));
    backing.reset(::open((folder / "disk").c_str(), O_RDWR | O_CLOEXEC));
    const base::UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const int number = control.valid() ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
    if (number < 0) GTEST_SKIP() << "no loop device can be had here";
    node = "/dev/loop" + std::to_string(number);
    loop.reset(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (!loop.valid() || ::ioctl(loop.get(), LOOP_SET_FD, backing.get()) != 0) {
      loop.reset();
      GTEST_SKIP() << node << " cannot be attached here";
    }
    if (!std::filesystem::exists("/sys/class/block/loop" + std::to_string(number))) GTEST_SKIP() << "no sysfs here";
  }
  void TearDown() override {
    if (loop.valid()) ::ioctl(loop.get(), LOOP_CLR_FD, 0);
    std::filesystem::remove_all(folder);
  }

  std::pair<std::string, int> run(const std::string& arguments) {
    const auto line =
        "cd '" + folder.string() + "' && '" WAYSIDE_FLEET_PROGRAM "' flash " + arguments + " 2>&1 </dev/null";
    return testing_support::shell(line);
  }
  void refused(const std::string& arguments, const std::string& because) {
    const auto [out, status] = run(arguments);
    EXPECT_EQ(status, 1) << out;
    EXPECT_NE(out.find(because), std::string::npos) << out;
    EXPECT_EQ(read_whole(folder / "disk"), std::string(kDiskBytes, 'o')) << "nothing is written before a refusal";
  }
};

TEST_F(FlashCommandTest, WritesByTheBlockMapBesideTheImageAndReadsBack) {
  const auto [out, status] = run("image.img.zst " + node + " --yes --fixed-disk --json");
  ASSERT_EQ(status, 0) << out;
  const auto json = nlohmann::json::parse(out.substr(out.find('{')));  // before it: the progress
  EXPECT_EQ(json["block_map"], true);
  EXPECT_EQ(json["verified"], true);
  EXPECT_EQ(json["written_bytes"], (101 + 113) * 4096);
  const auto disk = read_whole(folder / "disk");
  EXPECT_EQ(disk.substr(0, 101 * 4096), image.substr(0, 101 * 4096));
  EXPECT_EQ(disk.substr(400 * 4096, 113 * 4096), image.substr(400 * 4096, 113 * 4096));
}

TEST_F(FlashCommandTest, WritesEverythingWithoutABlockMap) {
  const auto [out, status] = run("image.img " + node + " --yes --fixed-disk --no-bmap");
  ASSERT_EQ(status, 0) << out;
  EXPECT_NE(out.find("read back and equal"), std::string::npos) << out;
  EXPECT_EQ(read_whole(folder / "disk").substr(0, kImageBytes), image);
}

TEST_F(FlashCommandTest, RefusesBeforeTheFirstByte) {
  refused("image.img.zst " + node + " --yes", "--fixed-disk");
  refused("image.img.zst " + node + " --fixed-disk", "--yes");
  refused("absent.img " + node + " --yes --fixed-disk", "absent.img");
  refused("image.img disk --yes", "is not a disk");
  refused("image.img", "say IMAGE and DISK");
  write_file(folder / "large.img", std::string(kDiskBytes + 512, 'l'));
  refused("large.img " + node + " --yes --fixed-disk", "too small");
  write_file(folder / "image.img.bmap", "damaged");
  refused("image.img.zst " + node + " --yes --fixed-disk", "image.img.bmap");
}

TEST_F(FlashCommandTest, RefusesADiskThatSomebodyClaimed) {
  const base::UniqueFd claim(::open(node.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  ASSERT_TRUE(claim.valid());
  refused("image.img.zst " + node + " --yes --fixed-disk", "busy");
}

}  // namespace
}  // namespace wayside::fleet
