// SPDX-License-Identifier: Apache-2.0
// Writing of images: plain, compressed, by block map; damaged, cut, too long; interrupted; a disk that forgets.
#include "fleet/flash/image_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/fleet/flash/disk_images.h"

namespace wayside::fleet {
namespace {

using base::Code;

constexpr std::size_t kImageBytes = 3 * 1024 * 1024 + 1000;  // more than the held-back head, no whole number of blocks
constexpr std::size_t kDiskBytes = 4 * 1024 * 1024;
constexpr std::size_t kLastBlock = (kImageBytes - 1) / 4096;

struct ImageWriterTest : testing::Test {
  std::filesystem::path folder;
  const std::string image = made_up_image(kImageBytes);
  const std::string old_disk = std::string(kDiskBytes, 'o');

  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) / ("image_writer." + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    write_file(folder / "disk", old_disk);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  base::Result<FlashResult> write(const std::string& file, FlashOptions options = {}) {
    write_file(folder / "image", file);
    auto reader = ImageReader::open(folder / "image");
    if (!reader) return std::unexpected(reader.error());
    const base::UniqueFd fd(::open((folder / "disk").c_str(), O_RDWR | O_CLOEXEC));
    options.target_bytes = kDiskBytes;
    return write_image(*reader, fd.get(), options);
  }
  std::string disk() { return read_whole(folder / "disk"); }
  BlockMap map_of(const std::string& ranges) { return *BlockMap::parse(sealed_block_map(kImageBytes, ranges)); }
  BlockMap good_map() { return map_of(range_of(image, 0, 200) + range_of(image, 600, kLastBlock)); }
};

TEST_F(ImageWriterTest, PlainAndCompressedAreWrittenWhole) {
  for (const auto& file : {image, compressed(image)}) {
    write_file(folder / "disk", old_disk);
    const auto done = write(file);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->verified);
    EXPECT_EQ(done->image_bytes, kImageBytes);
    EXPECT_EQ(disk().substr(0, kImageBytes), image);
    EXPECT_EQ(disk().substr(kImageBytes), old_disk.substr(kImageBytes)) << "what lies behind the image is left";
  }
}

TEST_F(ImageWriterTest, SeveralCompressedFramesAreOneImage) {
  const auto half = image.size() / 2;
  ASSERT_TRUE(write(compressed(image.substr(0, half)) + compressed(image.substr(half))));
  EXPECT_EQ(disk().substr(0, kImageBytes), image);
}

TEST_F(ImageWriterTest, OnlyMappedBlocksAreWritten) {
  const auto map = good_map();
  const auto done = write(compressed(image), {.map = &map});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->written_bytes, map.mapped_bytes());
  const auto now = disk();
  EXPECT_EQ(now.substr(0, 201 * 4096), image.substr(0, 201 * 4096));
  EXPECT_EQ(now.substr(600 * 4096, kImageBytes - 600 * 4096), image.substr(600 * 4096));
  EXPECT_EQ(now.substr(1 << 20, 600 * 4096 - (1 << 20)), old_disk.substr(1 << 20, 600 * 4096 - (1 << 20)));
}

TEST_F(ImageWriterTest, DamageIsFoundByTheBlockMapAndNamesTheBlocks) {
  const auto map = good_map();
  auto bad = image;
  bad[700 * 4096] ^= 1;
  const auto done = write(bad, {.map = &map});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::corrupt);
  EXPECT_NE(done.error().message.find("600-"), std::string::npos) << done.error().message;
  EXPECT_EQ(disk().substr(0, 4096), std::string(4096, '\0')) << "a disk that is not whole has no partition table";
}

TEST_F(ImageWriterTest, EveryCutOfACompressedImageIsRefused) {
  const auto file = compressed(image);
  for (const auto keep : {std::size_t{5}, file.size() / 3, file.size() / 2, file.size() - 1}) {
    const auto done = write(file.substr(0, keep));
    ASSERT_FALSE(done) << keep;
    EXPECT_EQ(done.error().code, Code::corrupt) << done.error().message;
  }
}

TEST_F(ImageWriterTest, ImageAndMapOfDifferentLengthsDoNotBelongTogether) {
  const auto map = good_map();
  for (const auto& other : {image + "x", image.substr(0, kImageBytes - 1)}) {
    const auto done = write(other, {.map = &map});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::corrupt);
  }
}

TEST_F(ImageWriterTest, AnImageLargerThanTheDiskIsRefused) {
  const auto done = write(compressed(made_up_image(kDiskBytes + 1)));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::exhausted);
}

TEST_F(ImageWriterTest, AnEmptyImageIsRefused) {
  const auto done = write("");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::corrupt);
}

TEST_F(ImageWriterTest, InterruptedItLeavesNothingThatBoots) {
  int calls = 0;
  const auto done = write(image, {.stop_requested = [&] { return ++calls == 3; }});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::bad_state);
  EXPECT_EQ(disk().substr(0, 1 << 20), std::string(1 << 20, '\0'));
}

TEST_F(ImageWriterTest, ADiskThatForgetsIsFound) {
  const auto forget = [&](const FlashProgress& now) {
    if (now.stage != FlashStage::verify || now.done_bytes > (1U << 20U)) return;
    const base::UniqueFd fd(::open((folder / "disk").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::pwrite(fd.get(), "?", 1, 2 << 20), 1);
  };
  const auto done = write(image, {.progress = forget});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("faulty"), std::string::npos) << done.error().message;
  write_file(folder / "disk", old_disk);
  EXPECT_TRUE(write(image, {.verify = false, .progress = forget})) << "without the check nobody knows";
}

TEST_F(ImageWriterTest, ProgressEndsAtTheTotal) {
  FlashProgress last_write, last_verify;
  const auto map = good_map();
  ASSERT_TRUE(write(compressed(image), {.map = &map, .progress = [&](const FlashProgress& now) {
                                          (now.stage == FlashStage::write ? last_write : last_verify) = now;
                                        }}));
  for (const auto& last : {last_write, last_verify}) {
    EXPECT_EQ(last.done_bytes, map.mapped_bytes());
    EXPECT_EQ(last.total_bytes, map.mapped_bytes());
  }
}

TEST_F(ImageWriterTest, OtherCompressionsAreNamed) {
  for (const auto& [magic, name] :
       {std::pair<std::string, std::string>{"\x1f\x8b", "gzip"}, {"BZh9", "bzip2"}, {"PK\3\4", "zip"}}) {
    const auto done = write(magic + std::string(100, 'x'));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::unsupported);
    EXPECT_NE(done.error().message.find(name), std::string::npos) << done.error().message;
  }
}

}  // namespace
}  // namespace wayside::fleet
