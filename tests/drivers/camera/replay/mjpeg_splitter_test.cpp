// SPDX-License-Identifier: Apache-2.0
// The MJPEG splitter: whole streams, thumbnails, truncation and damage.
#include "drivers/camera/replay/mjpeg_splitter.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/drivers/camera/replay/recordings.h"

namespace wayside::drivers {
namespace {

using test::append;
using test::Bytes;

std::vector<JpegPiece> split(std::span<const std::byte> stream) {
  std::vector<JpegPiece> pieces;
  while (!stream.empty()) {
    const JpegPiece piece = first_jpeg(stream);
    EXPECT_GT(piece.size_bytes, 0U);
    EXPECT_LE(piece.size_bytes, stream.size());
    if (piece.size_bytes == 0 || piece.size_bytes > stream.size()) return pieces;
    pieces.push_back(piece);
    stream = stream.subspan(piece.size_bytes);
  }
  return pieces;
}

TEST(MjpegSplitter, FindsEachPicture) {
  const auto pieces = split(test::mjpeg(5));
  ASSERT_EQ(pieces.size(), 5U);
  for (const auto& piece : pieces) {
    EXPECT_EQ(piece.damage, "");
    EXPECT_EQ(piece.width_px, 64U);
    EXPECT_EQ(piece.height_px, 48U);
  }
  EXPECT_EQ(pieces[0].size_bytes, test::jpeg(0).size());
}

TEST(MjpegSplitter, DoesNotStopAtAThumbnail) {
  const Bytes picture = test::jpeg(0);
  const Bytes thumbnail = test::jpeg(1, 16, 16);
  Bytes whole(picture.begin(), picture.begin() + 2);
  const std::size_t length = 2 + thumbnail.size();
  for (const std::size_t value : {std::size_t{0xFF}, std::size_t{0xE1}, length >> 8, length & 0xFF}) {
    whole.push_back(static_cast<std::byte>(value));
  }
  append(whole, thumbnail);
  append(whole, std::span(picture).subspan(2));
  Bytes stream = whole;
  append(stream, whole);
  const auto pieces = split(stream);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].size_bytes, whole.size());
  EXPECT_EQ(pieces[0].width_px, 64U);
}

TEST(MjpegSplitter, GoesOnBehindATruncatedPicture) {
  const Bytes picture = test::jpeg(0);
  unsigned looks_whole = 0;
  for (std::size_t kept = 3; kept + 2 < picture.size(); kept += 7) {
    Bytes stream(picture.begin(), picture.begin() + static_cast<std::ptrdiff_t>(kept));
    append(stream, picture);
    const auto pieces = split(stream);
    // A cut segment may swallow the next picture up to the start of one of its segments: then the two look like one.
    if (pieces.size() == 1 && pieces[0].damage.empty()) {
      ++looks_whole;
      continue;
    }
    ASSERT_GE(pieces.size(), 2U) << kept;
    EXPECT_NE(pieces.front().damage, "") << kept;
    // A cut segment may swallow the start of the next picture; the stretch ends at the next start marker or the end.
    if (pieces.back().damage.empty()) {
      EXPECT_EQ(pieces.back().size_bytes, picture.size()) << kept;
    }
  }
  EXPECT_LT(looks_whole, picture.size() / 7 / 10);
}

TEST(MjpegSplitter, RubbishBetweenPicturesIsOnePiece) {
  Bytes stream = test::jpeg(0);
  append(stream, "rubbish \xFF\xD8 more");
  append(stream, test::jpeg(1));
  const auto pieces = split(stream);
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[0].damage, "");
  EXPECT_NE(pieces[1].damage, "");
  EXPECT_EQ(pieces[2].damage, "");
}

TEST(MjpegSplitter, EveryTruncationEnds) {
  const Bytes stream = test::mjpeg(2);
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    const auto pieces = split(std::span(stream).first(size));
    ASSERT_LE(pieces.size(), 3U);
  }
}

TEST(MjpegSplitter, RandomBytesAlwaysAdvance) {
  constexpr unsigned kSeed = 42;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  const Bytes stream = test::mjpeg(3);
  for (int round = 0; round < 500; ++round) {
    Bytes damaged = stream;
    for (int i = 0; i < 30; ++i)
      damaged[random() % damaged.size()] = random() % 3 == 0 ? std::byte{0xFF} : std::byte(random());
    split(damaged);
  }
}

}  // namespace
}  // namespace wayside::drivers
