// SPDX-License-Identifier: Apache-2.0
// Y4M: headers good and bad, frames, truncation.
#include "drivers/camera/replay/y4m.h"

#include <gtest/gtest.h>

#include "tests/drivers/camera/replay/recordings.h"

namespace wayside::drivers {
namespace {

base::Result<Y4mHeader> parse(const std::string& text) { return parse_y4m_header(std::as_bytes(std::span(text))); }

TEST(Y4m, ReadsAHeader) {
  const auto header = parse("YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n");
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->width_px, 640U);
  EXPECT_EQ(header->height_px, 480U);
  EXPECT_NEAR(header->rate_hz, 29.97, 0.001);
  EXPECT_EQ(header->chroma, Y4mChroma::c420);
  EXPECT_EQ(header->range, base::ColorRange::full);
  EXPECT_EQ(header->frame_bytes(), 640U * 480 * 3 / 2);
}

TEST(Y4m, OddSizesRoundChromaUp) {
  EXPECT_EQ(parse("YUV4MPEG2 W5 H3\n")->frame_bytes(), 15U + 2 * 3 * 2);
  EXPECT_EQ(parse("YUV4MPEG2 W5 H3 C422\n")->frame_bytes(), 15U + 2 * 3 * 3);
  EXPECT_EQ(parse("YUV4MPEG2 W5 H3 Cmono\n")->frame_bytes(), 15U);
}

TEST(Y4m, UnknownRateIsZero) { EXPECT_EQ(parse("YUV4MPEG2 W4 H2 F0:0\n")->rate_hz, 0); }

struct BadHeader {
  const char* text;
  base::Code code;
};
class Y4mBadHeader : public testing::TestWithParam<BadHeader> {};
INSTANTIATE_TEST_SUITE_P(Headers, Y4mBadHeader,
                         testing::Values(BadHeader{"", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W4 H2", base::Code::corrupt},
                                         BadHeader{"RIFF\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W0 H2\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W-4 H2\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W4x H2\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W4 H99999999999\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W4 H2 F25\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W4 H2 F4000000000:1\n", base::Code::corrupt},
                                         BadHeader{"YUV4MPEG2 W60000 H60000\n", base::Code::exhausted},
                                         BadHeader{"YUV4MPEG2 W4 H2 It\n", base::Code::unsupported},
                                         BadHeader{"YUV4MPEG2 W4 H2 C444\n", base::Code::unsupported},
                                         BadHeader{"YUV4MPEG2 W4 H2 C420p10\n", base::Code::unsupported}));

TEST_P(Y4mBadHeader, IsRefused) {
  const auto header = parse(GetParam().text);
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, GetParam().code) << header.error().message;
}

TEST(Y4m, ALineWithoutEndIsRefused) {
  EXPECT_EQ(parse("YUV4MPEG2 W4 H2 X" + std::string(kMaxY4mLineBytes, 'x') + "\n").error().code, base::Code::corrupt);
}

TEST(Y4m, EveryTruncationOfAFrameIsCorrupt) {
  const auto file = test::y4m("W4 H2 F25:1", 12, 1);
  const auto header = parse_y4m_header(file).value();
  const auto rest = std::span(file).subspan(header.header_bytes);
  for (std::size_t size = 0; size < rest.size(); ++size) {
    const auto frame = first_y4m_frame(header, rest.first(size));
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, base::Code::corrupt);
  }
  const auto frame = first_y4m_frame(header, rest);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->size_bytes, rest.size());
  EXPECT_EQ(frame->pixels.size(), 12U);
}

TEST(Y4m, FrameLinesMayCarryParameters) {
  std::string text = "FRAME Ippp\nabcdef";
  Y4mHeader header;
  header.width_px = header.height_px = 2;
  const auto frame = first_y4m_frame(header, std::as_bytes(std::span(text)));
  ASSERT_TRUE(frame);
  EXPECT_EQ(std::to_integer<char>(frame->pixels[0]), 'a');
  text = "FRAMES\nabcdef";
  EXPECT_FALSE(first_y4m_frame(header, std::as_bytes(std::span(text))));
}

}  // namespace
}  // namespace wayside::drivers
