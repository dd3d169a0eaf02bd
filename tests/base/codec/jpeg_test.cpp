// SPDX-License-Identifier: Apache-2.0
// JpegDecoder and JpegEncoder: round trips of every layout, missing tables, damage of every kind.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "base/codec/jpeg_decoder.h"
#include "base/codec/jpeg_encoder.h"
#include "tests/base/codec/pictures.h"
#include "tests/base/codec/reference_jpeg.h"

namespace wayside::base {
namespace {

using test::make_picture;
using test::Picture;

JpegDecoder decoder() { return std::move(JpegDecoder::create().value()); }
JpegEncoder encoder() { return std::move(JpegEncoder::create().value()); }

std::vector<std::byte> encoded(const ImageView& image, int quality = 95) {
  auto jpeg = encoder();
  const auto bytes = jpeg.encode(image, quality).value();
  return {bytes.begin(), bytes.end()};
}

/// Largest difference of two planes of `width` x `height`; a step above 1 takes every step-th byte of `b`.
int plane_difference(const PlaneView& a, const PlaneView& b, std::size_t width, std::size_t height,
                     std::size_t step = 1, std::size_t offset = 0) {
  int worst = 0;
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const int difference = a.data[y * a.stride_bytes + x] - b.data[y * b.stride_bytes + step * x + offset];
      worst = std::max(worst, std::abs(difference));
    }
  }
  return worst;
}

constexpr int kTolerance = 12;  // quality 95 at the hard edge of the disc

struct Size {
  std::uint32_t width_px, height_px;
};
class JpegSizes : public testing::TestWithParam<Size> {};
INSTANTIATE_TEST_SUITE_P(Sizes, JpegSizes,
                         testing::Values(Size{1, 1}, Size{2, 2}, Size{15, 17}, Size{16, 16}, Size{33, 31},
                                         Size{320, 180}, Size{641, 481}));

TEST_P(JpegSizes, PlanarRoundTrip) {
  const auto [width, height] = GetParam();
  const std::size_t half_width = (width + 1) / 2;
  const std::size_t half_height = (height + 1) / 2;
  auto jpeg = decoder();
  for (const PixelFormat format : {PixelFormat::i420, PixelFormat::nv12}) {
    const Picture picture = make_picture(format, width, height);
    const auto image = jpeg.decode(encoded(picture.view));
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->format, PixelFormat::i420);
    EXPECT_EQ(image->range, ColorRange::full);
    ASSERT_EQ(image->width_px, width);
    ASSERT_EQ(image->height_px, height);
    const bool nv12 = format == PixelFormat::nv12;
    const PlaneView& red = nv12 ? picture.view.planes[1] : picture.view.planes[2];
    const std::size_t step = nv12 ? 2 : 1;
    EXPECT_LE(plane_difference(image->planes[0], picture.view.planes[0], width, height), kTolerance);
    EXPECT_LE(plane_difference(image->planes[1], picture.view.planes[1], half_width, half_height, step), kTolerance);
    EXPECT_LE(plane_difference(image->planes[2], red, half_width, half_height, step, step - 1), kTolerance);
  }
}

TEST_P(JpegSizes, GreyRoundTrip) {
  const auto [width, height] = GetParam();
  const Picture picture = make_picture(PixelFormat::gray8, width, height);
  auto jpeg = decoder();
  const auto image = jpeg.decode(encoded(picture.view));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->format, PixelFormat::gray8);
  EXPECT_LE(plane_difference(image->planes[0], picture.view.planes[0], width, height), kTolerance);
}

TEST(JpegEncoder, ConvertsRgbByTheJfifFormula) {
  Picture picture = make_picture(PixelFormat::rgb24, 32, 32);
  for (std::size_t i = 0; i < picture.bytes.size(); i += 3) {
    picture.bytes[i] = 200;
    picture.bytes[i + 1] = 100;
    picture.bytes[i + 2] = 50;
  }
  auto jpeg = decoder();
  const auto image = jpeg.decode(encoded(picture.view));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_NEAR(image->planes[0].data[0], 0.299 * 200 + 0.587 * 100 + 0.114 * 50, 2);
  EXPECT_NEAR(image->planes[1].data[0], 128 - 0.168736 * 200 - 0.331264 * 100 + 0.5 * 50, 2);
  EXPECT_NEAR(image->planes[2].data[0], 128 + 0.5 * 200 - 0.418688 * 100 - 0.081312 * 50, 2);
}

TEST(JpegEncoder, ExpandsLimitedRange) {
  Picture picture = make_picture(PixelFormat::i420, 16, 16, 0, ColorRange::limited);
  std::fill(picture.bytes.begin(), picture.bytes.begin() + 256, std::uint8_t{235});
  std::fill(picture.bytes.begin() + 256, picture.bytes.end(), std::uint8_t{128});
  auto jpeg = decoder();
  const auto image = jpeg.decode(encoded(picture.view));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_NEAR(image->planes[0].data[0], 255, 1);
  EXPECT_NEAR(image->planes[1].data[0], 128, 1);
}

TEST(JpegEncoder, RefusesBadInput) {
  auto jpeg = encoder();
  Picture picture = make_picture(PixelFormat::i420, 16, 16);
  EXPECT_EQ(jpeg.encode(picture.view, 0).error().code, Code::invalid_argument);
  EXPECT_EQ(jpeg.encode(picture.view, 101).error().code, Code::invalid_argument);
  picture.view.planes[0].size_bytes -= 1;
  EXPECT_EQ(jpeg.encode(picture.view, 90).error().code, Code::invalid_argument);
  picture.view.format = PixelFormat::yuyv;
  EXPECT_EQ(jpeg.encode(picture.view, 90).error().code, Code::unsupported);
  EXPECT_EQ(jpeg.encode(ImageView{}, 90).error().code, Code::invalid_argument);
}

/// Offset of the first segment with this marker, found by walking the segments.
std::size_t find_segment(const std::vector<std::byte>& jpeg, unsigned marker, std::size_t from = 2) {
  for (std::size_t at = from; at + 4 <= jpeg.size();) {
    if (std::to_integer<unsigned>(jpeg[at + 1]) == marker) return at;
    at += 2 + 256 * std::to_integer<std::size_t>(jpeg[at + 2]) + std::to_integer<std::size_t>(jpeg[at + 3]);
  }
  return 0;
}

/// The picture as USB cameras send it: without its Huffman tables.
std::vector<std::byte> without_tables(std::vector<std::byte> jpeg) {
  for (std::size_t at = find_segment(jpeg, 0xC4); at != 0; at = find_segment(jpeg, 0xC4)) {
    const std::size_t size =
        2 + 256 * std::to_integer<std::size_t>(jpeg[at + 2]) + std::to_integer<std::size_t>(jpeg[at + 3]);
    jpeg.erase(jpeg.begin() + static_cast<std::ptrdiff_t>(at), jpeg.begin() + static_cast<std::ptrdiff_t>(at + size));
  }
  return jpeg;
}

TEST(JpegDecoder, UsesStandardTablesWhereThereAreNone) {
  const Picture picture = make_picture(PixelFormat::i420, 64, 48);
  const auto whole = encoded(picture.view);
  const auto bare = without_tables(whole);
  ASSERT_LT(bare.size() + 400, whole.size());
  auto jpeg = decoder();
  const auto image = jpeg.decode(bare);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_LE(plane_difference(image->planes[0], picture.view.planes[0], 64, 48), kTolerance);
}

TEST(JpegDecoder, StandardTablesComeBackAfterOptimisedOnes) {
  const Picture picture = make_picture(PixelFormat::i420, 64, 48);
  const auto whole = encoded(picture.view);
  auto other = whole;  // other tables: swap the lengths of two codes' symbols
  const std::size_t table = find_segment(other, 0xC4);
  ASSERT_NE(table, 0U);
  std::swap(other[table + 5 + 16], other[table + 5 + 17]);
  auto jpeg = decoder();
  (void)jpeg.decode(other);
  const auto image = jpeg.decode(without_tables(whole));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_LE(plane_difference(image->planes[0], picture.view.planes[0], 64, 48), kTolerance);
}

TEST(JpegDecoder, SameSizeKeepsItsBuffers) {
  auto jpeg = decoder();
  const auto first = jpeg.decode(encoded(make_picture(PixelFormat::i420, 320, 240).view)).value();
  const auto second = jpeg.decode(encoded(make_picture(PixelFormat::i420, 320, 240, 30).view)).value();
  const auto smaller = jpeg.decode(encoded(make_picture(PixelFormat::i420, 160, 120).view)).value();
  for (std::size_t plane = 0; plane < 3; ++plane) {
    EXPECT_EQ(first.planes[plane].data, second.planes[plane].data);
    EXPECT_EQ(first.planes[plane].data, smaller.planes[plane].data);
  }
}

TEST(JpegDecoder, ToleratesBytesBehindAndAMissingEndMarker) {
  auto file = encoded(make_picture(PixelFormat::i420, 64, 48).view);
  auto jpeg = decoder();
  file.resize(file.size() + 100);
  EXPECT_TRUE(jpeg.decode(file));
  file.resize(file.size() - 102);
  EXPECT_TRUE(jpeg.decode(file));
}

TEST(JpegDecoder, EveryTruncationIsCorrupt) {
  const auto file = encoded(make_picture(PixelFormat::i420, 64, 48).view);
  auto jpeg = decoder();
  for (std::size_t size = 0; size + 4 < file.size(); ++size) {
    const auto image = jpeg.decode(std::span(file).first(size));
    ASSERT_FALSE(image) << size << " of " << file.size();
    EXPECT_EQ(image.error().code, Code::corrupt) << size;
    EXPECT_NE(image.error().message, "JPEG: ") << size;
  }
  EXPECT_TRUE(jpeg.decode(file));
}

TEST(JpegDecoder, NoBitFlipCrashes) {
  const auto file = encoded(make_picture(PixelFormat::i420, 48, 32).view, 80);
  auto jpeg = decoder();
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    auto damaged = file;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    (void)jpeg.decode(damaged);
  }
  EXPECT_TRUE(jpeg.decode(file));
}

TEST(JpegDecoder, NoRandomDamageCrashes) {
  constexpr unsigned kSeed = 20261;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  const auto file = encoded(make_picture(PixelFormat::i420, 80, 64).view, 90);
  auto jpeg = decoder();
  for (int round = 0; round < 2000; ++round) {
    auto damaged = file;
    for (unsigned i = 0; i < 1 + random() % 20; ++i) damaged[random() % damaged.size()] = std::byte(random() & 0xFF);
    (void)jpeg.decode(std::span(damaged).first(random() % (damaged.size() + 1)));
  }
  EXPECT_TRUE(jpeg.decode(file));
}

TEST(JpegDecoder, RefusesAHugePictureBeforeTakingMemory) {
  auto file = encoded(make_picture(PixelFormat::i420, 64, 48).view);
  const std::size_t frame = find_segment(file, 0xC0);
  ASSERT_NE(frame, 0U);
  for (std::size_t i = 5; i < 9; ++i) file[frame + i] = std::byte{0xFF};  // 65535 x 65535
  auto jpeg = decoder();
  const auto image = jpeg.decode(file);
  ASSERT_FALSE(image);
  // libjpeg's own limit is 65500 a side: it may be the one to say no.
  EXPECT_TRUE(image.error().code == Code::exhausted || image.error().code == Code::corrupt) << image.error().message;
  for (std::size_t i = 5; i < 9; ++i) file[frame + i] = std::byte{0x3F};  // 16191 x 16191
  EXPECT_EQ(jpeg.decode(file).error().code, Code::exhausted);
}

TEST(JpegDecoder, BringsEverySamplingTo420) {
  auto jpeg = decoder();
  for (const auto& [width, height] : {Size{64, 48}, Size{61, 45}, Size{17, 3}, Size{1, 1}}) {
    for (const bool progressive : {false, true}) {
      for (const auto& [x, y] : {std::pair{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}}) {
        SCOPED_TRACE(testing::Message() << width << "x" << height << " luma " << x << "x" << y << " " << progressive);
        const auto file = test::make_jpeg(width, height, {.luma_x = x, .luma_y = y, .progressive = progressive});
        const auto image = jpeg.decode(file);
        ASSERT_TRUE(image) << image.error().message;
        EXPECT_EQ(image->format, PixelFormat::i420);
        for (unsigned row = 0; row < height; ++row) {
          for (unsigned column = 0; column < width; ++column) {
            const auto& luma = image->planes[0];
            ASSERT_NEAR(luma.data[row * luma.stride_bytes + column], 60 + column, 3);
          }
        }
        for (unsigned row = 0; row < (height + 1) / 2; ++row) {
          for (unsigned column = 0; column < (width + 1) / 2; ++column) {
            const auto& blue = image->planes[1];
            const auto& red = image->planes[2];
            const double expected = 90 + (2 * row + 1 < height ? 2 * row + 0.5 : 2 * row);
            ASSERT_NEAR(blue.data[row * blue.stride_bytes + column], expected, 3);
            ASSERT_NEAR(red.data[row * red.stride_bytes + column], 150, 3);
          }
        }
      }
    }
  }
}

TEST(JpegDecoder, ReadsRestartMarkers) {
  auto jpeg = decoder();
  EXPECT_TRUE(jpeg.decode(test::make_jpeg(64, 48, {.restart_rows = 1})));
}

TEST(JpegDecoder, TruncatedProgressiveIsCorrupt) {
  const auto file = test::make_jpeg(64, 48, {.progressive = true});
  auto jpeg = decoder();
  for (std::size_t size = 0; size + 2 < file.size(); ++size) {
    const auto image = jpeg.decode(std::span(file).first(size));
    ASSERT_FALSE(image) << size << " of " << file.size();
    EXPECT_EQ(image.error().code, Code::corrupt);
  }
  EXPECT_TRUE(jpeg.decode(file));
}

TEST(JpegDecoder, RefusesCmyk) {
  auto jpeg = decoder();
  EXPECT_EQ(jpeg.decode(test::make_jpeg(64, 48, {.cmyk = true})).error().code, Code::unsupported);
}

}  // namespace
}  // namespace wayside::base
