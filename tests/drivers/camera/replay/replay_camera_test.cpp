// SPDX-License-Identifier: Apache-2.0
// ReplayCamera: pacing on a manual clock, loops, damage, leases, and the real recordings.
#include "drivers/camera/replay/replay_camera.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/codec/jpeg_decoder.h"
#include "tests/base/codec/png_file.h"
#include "tests/drivers/camera/replay/recordings.h"

namespace wayside::drivers {
namespace {

using base::Code;
using base::ManualClock;
using base::PixelFormat;
using std::chrono::milliseconds;
using test::append;
using test::Bytes;
using test::TempFolder;

constexpr milliseconds kLong{100000};

class Replay : public testing::Test {
 protected:
  std::unique_ptr<Camera> open(const std::string& uri_tail) {
    auto camera = open_camera("replay:" + uri_tail, clock_);
    EXPECT_TRUE(camera) << camera.error().message;
    return camera ? std::move(*camera) : nullptr;
  }
  std::unique_ptr<Camera> started(const std::string& uri_tail, const CameraRequest& request = {}) {
    auto camera = open(uri_tail);
    const auto format = camera->configure(request);
    EXPECT_TRUE(format) << format.error().message;
    if (format) format_ = *format;
    EXPECT_TRUE(camera->start());
    return camera;
  }
  std::string mjpeg_file(unsigned count) { return folder_.write("video.mjpeg", test::mjpeg(count)).string(); }

  TempFolder folder_;
  ManualClock clock_;
  CameraFormat format_;
};

TEST_F(Replay, FastGivesEveryPictureThenEnds) {
  auto camera = started(mjpeg_file(5) + "?rate=fast");
  EXPECT_EQ(format_.rate_hz, 0);
  EXPECT_EQ(format_.format, PixelFormat::mjpeg);
  EXPECT_EQ(format_.width_px, 64U);
  for (std::uint64_t i = 0; i < 5; ++i) {
    const auto frame = camera->next(kLong);
    ASSERT_TRUE(frame) << frame.error().message;
    EXPECT_EQ(frame->sequence(), i);
    const Bytes expected = test::jpeg(static_cast<unsigned>(i));
    const auto& plane = frame->image().planes[0];
    ASSERT_EQ(plane.size_bytes, expected.size());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), reinterpret_cast<const std::byte*>(plane.data)));
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(camera->next(kLong).error().code, Code::end_of_stream);
  EXPECT_EQ(clock_.now().count(), 0);
}

TEST_F(Replay, PacedWaitsForEachPicture) {
  auto camera = started(mjpeg_file(3) + "?rate=20");
  EXPECT_EQ(format_.rate_hz, 20);
  for (int i = 0; i < 3; ++i) {
    const auto frame = camera->next(kLong);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->sequence(), static_cast<std::uint64_t>(i));
    EXPECT_EQ(clock_.now(), milliseconds(50 * i));
    EXPECT_EQ(frame->timestamp(), milliseconds(50 * i));
  }
  EXPECT_EQ(camera->next(kLong).error().code, Code::end_of_stream);
}

TEST_F(Replay, LimitIsKeptAndGivesTimeout) {
  auto camera = started(mjpeg_file(3) + "?rate=1");
  ASSERT_TRUE(camera->next(kLong));
  EXPECT_EQ(camera->next(milliseconds(300)).error().code, Code::timeout);
  EXPECT_EQ(clock_.now(), milliseconds(300));
  EXPECT_TRUE(camera->next(milliseconds(700)));
}

TEST_F(Replay, SlowReaderGetsTheNewestAndSeesTheGap) {
  auto camera = started(mjpeg_file(30) + "?rate=10");
  ASSERT_TRUE(camera->next(kLong));
  clock_.advance(milliseconds(1030));
  const auto frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->sequence(), 10U);
  EXPECT_EQ(frame->timestamp(), milliseconds(1000));
  EXPECT_EQ(clock_.now(), milliseconds(1030));
}

TEST_F(Replay, LastPictureIsNeverMissed) {
  auto camera = started(mjpeg_file(5) + "?rate=10");
  clock_.advance(kLong);
  const auto frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->sequence(), 4U);
  EXPECT_EQ(camera->next(kLong).error().code, Code::end_of_stream);
}

TEST_F(Replay, LoopGoesOnCountingWhileReadingAndWhileSkipping) {
  for (const unsigned count : {1U, 2U, 3U}) {
    auto camera = started(mjpeg_file(count) + "?rate=10&loop=1");
    std::uint64_t sequence = 0;
    for (const std::uint64_t step : {0, 1, 1, 1, 1, 2, 3, 4, 5, 1, 1000000, 7, 1}) {
      sequence += step;
      clock_.advance(milliseconds(100) * static_cast<long>(step));
      const auto frame = camera->next(kLong);
      ASSERT_TRUE(frame) << frame.error().message;
      EXPECT_EQ(frame->sequence(), sequence);
      EXPECT_EQ(frame->image().planes[0].size_bytes, test::jpeg(static_cast<unsigned>(sequence % count)).size());
    }
  }
}

TEST_F(Replay, DamagedPictureIsReportedAndPassedOver) {
  Bytes stream = test::jpeg(0);
  Bytes cut = test::jpeg(1);
  cut.resize(cut.size() / 2 + 200);
  append(stream, cut);
  append(stream, test::jpeg(2));
  auto camera = started(folder_.write("a.mjpeg", stream).string() + "?rate=fast");
  ASSERT_TRUE(camera->next(kLong));
  const auto damaged = camera->next(kLong);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::corrupt);
  const auto last = camera->next(kLong);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->sequence(), 2U);
}

TEST_F(Replay, Y4mComesAsPlanesAtItsOwnRate) {
  auto camera = started(folder_.write("a.y4m", test::y4m("W5 H3 F25:1 C420jpeg", 15 + 12, 2)).string());
  EXPECT_EQ(format_.rate_hz, 25);
  EXPECT_EQ(format_.format, PixelFormat::i420);
  const auto frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  const auto& image = frame->image();
  EXPECT_EQ(image.planes[0].stride_bytes, 5U);
  EXPECT_EQ(image.planes[1].data, image.planes[0].data + 15);
  EXPECT_EQ(image.planes[2].data, image.planes[1].data + 6);
  EXPECT_EQ(image.planes[2].data[5], 10);
}

TEST_F(Replay, Y4m422IsAveragedAndMonoIsGrey) {
  Bytes file = test::y4m("W2 H3 C422", 0, 1);
  for (const int value : {1, 2, 3, 4, 5, 6, 10, 20, 31, 40, 60, 81}) file.push_back(static_cast<std::byte>(value));
  auto camera = started(folder_.write("a.y4m", file).string() + "?rate=fast");
  auto frame = camera->next(kLong);
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_EQ(frame->image().planes[1].data[0], 15);
  EXPECT_EQ(frame->image().planes[1].data[1], 31);
  EXPECT_EQ(frame->image().planes[2].data[0], 50);
  EXPECT_EQ(frame->image().planes[2].data[1], 81);
  frame->reset();
  auto mono = started(folder_.write("m.y4m", test::y4m("W2 H3 Cmono", 6, 1)).string() + "?rate=fast");
  EXPECT_EQ(format_.format, PixelFormat::gray8);
  EXPECT_TRUE(mono->next(kLong));
}

TEST_F(Replay, TruncatedY4mIsCorruptThenEnds) {
  Bytes file = test::y4m("W4 H2 F25:1", 12, 2);
  file.resize(file.size() - 3);
  auto camera = started(folder_.write("a.y4m", file).string() + "?rate=fast");
  EXPECT_TRUE(camera->next(kLong));
  EXPECT_EQ(camera->next(kLong).error().code, Code::corrupt);
  EXPECT_EQ(camera->next(kLong).error().code, Code::end_of_stream);
}

TEST_F(Replay, FolderIsReadByName) {
  folder_.write("b.jpg", test::jpeg(1, 32, 16));
  folder_.write("a.JPEG", test::jpeg(0, 64, 48));
  folder_.write("c.jpg", Bytes(10));
  folder_.write("notes.txt", Bytes(10));
  auto camera = started(folder_.path().string() + "?rate=fast");
  auto frame = camera->next(kLong);
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_EQ(frame->image().width_px, 64U);
  frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->image().width_px, 32U);
  const auto bad = camera->next(kLong);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::corrupt);
  EXPECT_NE(bad.error().message.find("c.jpg"), std::string::npos);
  EXPECT_EQ(camera->next(kLong).error().code, Code::end_of_stream);
}

TEST_F(Replay, FolderOfPngComesAsRgb) {
  const auto png = base::test::make_png(7, 5);
  folder_.write("1.png", std::as_bytes(std::span(png)));
  auto camera = started(folder_.path().string());
  EXPECT_EQ(format_.format, PixelFormat::rgb24);
  EXPECT_EQ(format_.rate_hz, kDefaultReplayRateHz);
  const auto frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->image().planes[0].data[3], base::test::png_sample(1, 0, 0));
}

TEST_F(Replay, ConfigureAnswersHonestly) {
  auto camera = open(mjpeg_file(1) + "?rate=5");
  auto format = camera->configure({.width_px = 64, .height_px = 48, .rate_hz = 5, .formats = {PixelFormat::mjpeg}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->verdict, Verdict::valid);
  EXPECT_EQ(format->why, "");
  format = camera->configure({.width_px = 1280, .height_px = 720, .rate_hz = 30, .formats = {}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->verdict, Verdict::adjusted);
  EXPECT_EQ(format->why, "asked 1280x720, the recording is 64x48; asked 30 Hz, the recording runs at 5 Hz");
  EXPECT_EQ(camera->configure({.formats = {PixelFormat::nv12}}).error().code, Code::unsupported);
}

TEST_F(Replay, RequestedRateServesWhereTheFileHasNone) {
  started(mjpeg_file(1), {.rate_hz = 15});
  EXPECT_EQ(format_.rate_hz, 15);
  EXPECT_EQ(format_.verdict, Verdict::valid);
}

TEST_F(Replay, LeasesAreBounded) {
  auto camera = started(mjpeg_file(10) + "?rate=fast");
  std::vector<Frame> leases;
  for (std::uint32_t i = 0; i < kReplaySlots; ++i) leases.push_back(std::move(camera->next(kLong).value()));
  EXPECT_EQ(camera->next(milliseconds(50)).error().code, Code::exhausted);
  leases.pop_back();
  const auto frame = camera->next(kLong);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->sequence(), kReplaySlots);
}

TEST_F(Replay, InterruptEndsAWait) {
  auto camera = started(mjpeg_file(3) + "?rate=1");
  ASSERT_TRUE(camera->next(kLong));
  camera->interrupt();
  EXPECT_EQ(camera->next(kLong).error().code, Code::timeout);
  EXPECT_TRUE(camera->next(kLong));
}

TEST_F(Replay, StartBeginsAnew) {
  auto camera = started(mjpeg_file(3) + "?rate=fast");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(camera->next(kLong));
  camera->stop();
  ASSERT_TRUE(camera->start());
  EXPECT_EQ(camera->next(kLong)->sequence(), 0U);
}

TEST_F(Replay, EveryDamagedRecordingIsSurvived) {
  auto decoder = std::move(base::JpegDecoder::create().value());
  const auto play = [&](const Bytes& file) {
    auto camera = open_camera("replay:" + folder_.write("x", file).string() + "?rate=fast", clock_);
    if (!camera) return;
    ASSERT_TRUE((*camera)->configure({}));
    ASSERT_TRUE((*camera)->start());
    for (int i = 0; i < 100; ++i) {
      const auto frame = (*camera)->next(kLong);
      if (!frame && frame.error().code == Code::end_of_stream) return;
      if (!frame) continue;
      const auto& plane = frame->image().planes[0];
      if (frame->image().format == PixelFormat::mjpeg) {
        (void)decoder.decode(std::as_bytes(std::span(plane.data, plane.size_bytes)));
      }
    }
    FAIL() << "does not end";
  };
  const Bytes stream = test::mjpeg(2);
  const Bytes y4m = test::y4m("W4 H2 F25:1 C422", 16, 2);
  for (const Bytes& whole : {stream, y4m}) {
    const std::size_t step = std::max<std::size_t>(1, whole.size() / 300);
    for (std::size_t at = 0; at < whole.size(); at += step) {
      play(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)));
      Bytes flipped = whole;
      flipped[at] ^= std::byte{1} << (at % 8);
      play(flipped);
    }
  }
}

TEST_F(Replay, RealRecordingHasEveryFrameAndDecodes) {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const std::filesystem::path video = std::filesystem::path(shared != nullptr ? shared : WAYSIDE_SHARED_DEFAULT) /
                                      "data/video/car-detection-768x432-12.5fps.mjpeg";
  if (!std::filesystem::exists(video)) GTEST_SKIP() << "no " << video << "; set WAYSIDE_SHARED to the shared folder";
  auto camera = started(video.string() + "?rate=fast");
  auto decoder = std::move(base::JpegDecoder::create().value());
  unsigned count = 0;
  while (true) {
    const auto frame = camera->next(kLong);
    if (!frame && frame.error().code == Code::end_of_stream) break;
    ASSERT_TRUE(frame) << frame.error().message;
    const auto& plane = frame->image().planes[0];
    const auto image = decoder.decode(std::as_bytes(std::span(plane.data, plane.size_bytes)));
    ASSERT_TRUE(image) << count << ": " << image.error().message;
    ASSERT_EQ(image->width_px, 768U);
    ASSERT_EQ(image->height_px, 432U);
    ++count;
  }
  EXPECT_EQ(count, 377U);
}

}  // namespace
}  // namespace wayside::drivers
