// SPDX-License-Identifier: Apache-2.0
// PngDecoder: pixels of a known file, every truncation and every bit flip.
#include "base/codec/png_decoder.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/base/codec/png_file.h"

namespace wayside::base {
namespace {

std::span<const std::byte> as_bytes(const std::vector<std::uint8_t>& data) { return std::as_bytes(std::span(data)); }

TEST(PngDecoder, GivesThePixelsOfAKnownFile) {
  const auto file = test::make_png(5, 3);
  PngDecoder decoder;
  const auto image = decoder.decode(as_bytes(file));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->format, PixelFormat::rgb24);
  EXPECT_EQ(image->width_px, 5U);
  EXPECT_EQ(image->height_px, 3U);
  for (unsigned y = 0; y < 3; ++y) {
    for (unsigned x = 0; x < 5; ++x) {
      for (unsigned c = 0; c < 3; ++c) {
        EXPECT_EQ(image->planes[0].data[y * image->planes[0].stride_bytes + 3 * x + c], test::png_sample(x, y, c));
      }
    }
  }
}

TEST(PngDecoder, EveryTruncationIsCorrupt) {
  const auto file = test::make_png(16, 16);
  PngDecoder decoder;
  // The last 12 bytes are the IEND chunk, which holds no pixels; libpng wants it or not depending on its version.
  for (std::size_t size = 0; size + 12 < file.size(); ++size) {
    const auto image = decoder.decode(as_bytes(file).first(size));
    ASSERT_FALSE(image) << size;
    EXPECT_EQ(image.error().code, Code::corrupt) << size;
  }
}

TEST(PngDecoder, NoBitFlipCrashes) {
  const auto file = test::make_png(16, 16);
  PngDecoder decoder;
  unsigned refused = 0;
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    auto damaged = file;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    refused += decoder.decode(as_bytes(damaged)) ? 0 : 1;
  }
  EXPECT_GT(refused, file.size() * 8 * 9 / 10);  // every chunk carries a checksum
  EXPECT_TRUE(decoder.decode(as_bytes(file)));
}

TEST(PngDecoder, RefusesAHugePicture) {
  const auto file = test::make_png(2, 2, 70000, 70000);
  PngDecoder decoder;
  const auto image = decoder.decode(as_bytes(file));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::exhausted);
}

}  // namespace
}  // namespace wayside::base
