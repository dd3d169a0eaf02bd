// SPDX-License-Identifier: Apache-2.0
// Block maps: what bmap-tools writes is read, what lies about itself is refused.
#include "fleet/flash/block_map.h"

#include <gtest/gtest.h>

#include <format>

#include "tests/fleet/flash/disk_images.h"

namespace wayside::fleet {
namespace {

using base::Code;

TEST(BlockMap, ReadsRangesAndTheirChecksums) {
  const std::string digest(64, 'a');
  const auto map = BlockMap::parse(
      sealed_block_map(10'000, std::format(R"(<Range chksum="{}"> 0-1 </Range><Range>2</Range>)", digest)));
  ASSERT_TRUE(map) << map.error().message;
  ASSERT_EQ(map->ranges.size(), 2U);
  EXPECT_EQ(map->ranges[0].sha256->hex(), digest);
  EXPECT_FALSE(map->ranges[1].sha256);
  EXPECT_EQ(map->begin_bytes(map->ranges[1]), 8192U);
  EXPECT_EQ(map->end_bytes(map->ranges[1]), 10'000U) << "the image ends within the last block";
  EXPECT_EQ(map->mapped_bytes(), 10'000U);
}

TEST(BlockMap, RefusesEveryFlippedByte) {
  const auto good = sealed_block_map(10'000, "<Range>0-2</Range>");
  ASSERT_TRUE(BlockMap::parse(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(BlockMap::parse(bad)) << "byte " << i;
  }
}

TEST(BlockMap, RefusesWhatDoesNotFitTheImage) {
  for (const char* ranges : {"", "<Range>3</Range>", "<Range>1-0</Range>", "<Range>1</Range><Range>1</Range>",
                             "<Range>1</Range><Range>0</Range>", "<Range>x</Range>", "<Range>-1</Range>",
                             "<Range>0-99999999999999999999</Range>", R"(<Range chksum="12">0</Range>)"}) {
    const auto map = BlockMap::parse(sealed_block_map(10'000, ranges));
    ASSERT_FALSE(map) << ranges;
    EXPECT_EQ(map.error().code, Code::corrupt) << ranges;
  }
  EXPECT_FALSE(BlockMap::parse(sealed_block_map(0, "<Range>0</Range>")));
  EXPECT_FALSE(BlockMap::parse("no xml"));
  EXPECT_FALSE(BlockMap::parse(""));
}

TEST(BlockMap, NamesAVersionThatItCannotRead) {
  const auto map = BlockMap::parse(R"(<bmap version="3.0"></bmap>)");
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().code, Code::unsupported);
  EXPECT_NE(map.error().message.find("3.0"), std::string::npos);
}

}  // namespace
}  // namespace wayside::fleet
