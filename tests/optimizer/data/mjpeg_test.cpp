// SPDX-License-Identifier: Apache-2.0
// Cutting MJPEG: thumbnails, stuffed bytes, restart markers, rubbish between pictures, truncation.
#include "optimizer/data/mjpeg.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace wayside::optimizer {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// SOI, an APP0 whose payload looks like a thumbnail with its own end marker, SOS, data with a stuffed byte and a
/// restart marker, EOI.
const Bytes kPicture{0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x06, 0xFF, 0xD9, 0xFF, 0xD8, 0xFF, 0xDA,
                     0x00, 0x02, 0x12, 0xFF, 0x00, 0x34, 0xFF, 0xD0, 0x56, 0xFF, 0xD9};

TEST(SplitMjpeg, FindsEveryPicture) {
  Bytes stream = kPicture;
  stream.insert(stream.end(), {0x00, 0x0A, 0xFF});  // rubbish
  stream.insert(stream.end(), kPicture.begin(), kPicture.end());
  const auto pictures = split_mjpeg(stream);
  ASSERT_TRUE(pictures) << pictures.error().message;
  ASSERT_EQ(pictures->size(), 2U);
  EXPECT_EQ((*pictures)[0].size(), kPicture.size());
  EXPECT_EQ((*pictures)[1].size(), kPicture.size());
}

TEST(SplitMjpeg, RefusesWhatHoldsNone) {
  for (std::size_t length = 0; length < kPicture.size(); ++length) {
    EXPECT_FALSE(split_mjpeg(std::span(kPicture).first(length))) << length;
  }
}

}  // namespace
}  // namespace wayside::optimizer
