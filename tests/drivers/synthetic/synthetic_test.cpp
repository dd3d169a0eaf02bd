// SPDX-License-Identifier: Apache-2.0
// The camera around the street: options, states, pacing, leases.
#include "drivers/camera/synthetic/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayside::drivers {
namespace {

using base::Code;
using std::chrono::milliseconds;
using testing::HasSubstr;

std::unique_ptr<Camera> open(std::string_view options, base::Clock& clock) {
  auto camera = open_synthetic(options, clock);
  EXPECT_TRUE(camera.has_value()) << camera.error().message;
  return camera ? std::move(*camera) : nullptr;
}

std::unique_ptr<Camera> streaming(std::string_view options, base::Clock& clock) {
  auto camera = open(options, clock);
  EXPECT_TRUE(camera->configure({}).has_value());
  EXPECT_TRUE(camera->start().has_value());
  return camera;
}

TEST(SyntheticOptions, UnknownOptionNamesTheNearest) {
  base::ManualClock clock;
  const auto camera = open_synthetic("sede=3", clock);
  ASSERT_FALSE(camera.has_value());
  EXPECT_EQ(camera.error().code, Code::invalid_argument);
  EXPECT_THAT(camera.error().message, HasSubstr("'sede'"));
  EXPECT_THAT(camera.error().message, HasSubstr("did you mean 'seed'"));
}

TEST(SyntheticOptions, BadValuesAreRefusedAndNamed) {
  base::ManualClock clock;
  for (const std::string_view text : {"seed=x",
                                      "seed=-1",
                                      "seed=",
                                      "seed",
                                      "rate=0",
                                      "rate=121",
                                      "rate=nan",
                                      "rate=1e",
                                      "size=640",
                                      "size=641x360",
                                      "size=100x100",
                                      "size=1922x1080",
                                      "size=640x360x2",
                                      "size=x",
                                      "pace=slow",
                                      "frames=-2",
                                      "frames=1.5",
                                      "seed=1&&rate=3",
                                      "=",
                                      "&",
                                      "seed=99999999999999999999"}) {
    const auto camera = open_synthetic(text, clock);
    ASSERT_FALSE(camera.has_value()) << text;
    EXPECT_EQ(camera.error().code, Code::invalid_argument) << text;
    EXPECT_THAT(camera.error().message, HasSubstr("synthetic camera")) << text;
    EXPECT_EQ(camera.error().message.find('\n'), std::string::npos);
  }
}

TEST(SyntheticOptions, GoodOptionsAreTaken) {
  base::ManualClock clock;
  for (const std::string_view text :
       {"", "?", "seed=7", "?seed=7&rate=30", "size=1920x1080", "size=160x120&pace=fast&frames=3", "rate=12.5"})
    EXPECT_TRUE(open_synthetic(text, clock).has_value()) << text;
  const auto camera = open("size=320x240&rate=30&seed=9", clock);
  const auto format = camera->configure({});
  ASSERT_TRUE(format.has_value());
  EXPECT_EQ(format->verdict, Verdict::valid);
  EXPECT_EQ(format->width_px, 320U);
  EXPECT_EQ(format->height_px, 240U);
  EXPECT_EQ(format->rate_hz, 30);
  EXPECT_THAT(camera->describe(), HasSubstr("seed=9"));
}

TEST(SyntheticConfigure, AdjustsWhatItCannotDo) {
  base::ManualClock clock;
  const auto camera = open("", clock);
  auto format =
      camera->configure({.width_px = 4000, .height_px = 101, .rate_hz = 500, .formats = {base::PixelFormat::mjpeg}});
  ASSERT_TRUE(format.has_value());
  EXPECT_EQ(format->verdict, Verdict::adjusted);
  EXPECT_EQ(format->width_px, 1920U);
  EXPECT_EQ(format->height_px, 120U);
  EXPECT_EQ(format->rate_hz, 120);
  EXPECT_EQ(format->format, base::PixelFormat::nv12);
  EXPECT_THAT(format->why, HasSubstr("4000x101"));
  EXPECT_THAT(format->why, HasSubstr("nv12"));
  format = camera->configure({.width_px = 641,
                              .height_px = 360,
                              .rate_hz = 0,
                              .formats = {base::PixelFormat::mjpeg, base::PixelFormat::nv12}});
  ASSERT_TRUE(format.has_value());
  EXPECT_EQ(format->width_px, 640U);
  EXPECT_EQ(format->verdict, Verdict::adjusted);
  format = camera->configure({.width_px = 640, .height_px = 360, .rate_hz = 10, .formats = {base::PixelFormat::nv12}});
  EXPECT_EQ(format->verdict, Verdict::valid);
  EXPECT_TRUE(format->why.empty());
}

TEST(SyntheticStates, EveryCallInEveryState) {
  base::ManualClock clock;
  const auto camera = open("size=160x120", clock);
  const auto refused = [](const auto& result) { return !result.has_value() && result.error().code == Code::bad_state; };
  // opened
  EXPECT_TRUE(refused(camera->start()));
  EXPECT_TRUE(refused(camera->next(milliseconds(1))));
  camera->stop();
  camera->interrupt();
  EXPECT_TRUE(refused(camera->start()));
  // configured
  ASSERT_TRUE(camera->configure({}).has_value());
  EXPECT_TRUE(refused(camera->next(milliseconds(1))));
  camera->stop();
  ASSERT_TRUE(camera->configure({}).has_value());
  // streaming
  ASSERT_TRUE(camera->start().has_value());
  EXPECT_TRUE(refused(camera->start()));
  EXPECT_TRUE(refused(camera->configure({})));
  EXPECT_TRUE(camera->next(milliseconds(100)).has_value());
  // configured again
  camera->stop();
  EXPECT_TRUE(refused(camera->next(milliseconds(1))));
  ASSERT_TRUE(camera->start().has_value());
  const auto frame = camera->next(milliseconds(100));
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->sequence(), 0U);
}

TEST(SyntheticPacing, WaitsForTheNextFrameAndSkipsToTheNewest) {
  base::ManualClock clock;
  clock.advance(std::chrono::seconds(100));
  const auto camera = streaming("size=160x120&rate=10", clock);
  auto frame = camera->next(milliseconds(0));  // frame 0 is due at once
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->sequence(), 0U);
  EXPECT_EQ(frame->timestamp(), std::chrono::seconds(100));
  frame = camera->next(milliseconds(500));  // waits 100 ms
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->sequence(), 1U);
  EXPECT_EQ(clock.now(), milliseconds(100'100));
  clock.advance(milliseconds(570));  // late: now 100.67 s
  frame = camera->next(milliseconds(500));
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->sequence(), 6U);
  EXPECT_EQ(frame->timestamp(), milliseconds(100'600));
  EXPECT_EQ(clock.now(), milliseconds(100'670));
  const auto none = camera->next(milliseconds(20));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Code::timeout);
  EXPECT_EQ(clock.now(), milliseconds(100'690));
  EXPECT_EQ(camera->next(milliseconds(500))->sequence(), 7U);
}

TEST(SyntheticPacing, FastDeliversEveryFrameAndEnds) {
  base::ManualClock clock;
  const auto camera = streaming("size=160x120&pace=fast&frames=3", clock);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto frame = camera->next(milliseconds(0));
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->sequence(), i);
  }
  const auto end = camera->next(milliseconds(0));
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, Code::end_of_stream);
}

TEST(SyntheticPacing, AFiniteLiveStreamEndsWithItsLastFrame) {
  base::ManualClock clock;
  const auto camera = streaming("size=160x120&rate=10&frames=4", clock);
  clock.advance(std::chrono::seconds(10));
  const auto frame = camera->next(milliseconds(0));
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->sequence(), 3U);
  EXPECT_EQ(camera->next(milliseconds(0)).error().code, Code::end_of_stream);
}

TEST(SyntheticPacing, InterruptEndsAWait) {
  base::ManualClock clock;
  const auto camera = streaming("size=160x120&rate=1", clock);
  ASSERT_TRUE(camera->next(milliseconds(0)).has_value());
  camera->interrupt();
  const auto none = camera->next(std::chrono::seconds(5));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Code::timeout);
  EXPECT_LT(clock.now(), milliseconds(100));
  EXPECT_TRUE(camera->next(std::chrono::seconds(5)).has_value());
}

TEST(SyntheticLeases, FourBuffersThenATimeoutUntilOneIsReleased) {
  base::ManualClock clock;
  const auto camera = streaming("size=160x120&pace=fast", clock);
  std::vector<Frame> held;
  for (int i = 0; i < 4; ++i) held.push_back(*camera->next(milliseconds(10)));
  const auto none = camera->next(milliseconds(10));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Code::timeout);
  EXPECT_THAT(none.error().message, HasSubstr("leased"));
  const std::uint8_t* freed = held[2].image().planes[0].data;
  held[2].reset();
  const auto frame = camera->next(milliseconds(10));
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->image().planes[0].data, freed);
}

TEST(SyntheticFrame, DescribesItsPlanes) {
  base::ManualClock clock;
  const auto camera = streaming("size=322x242&pace=fast", clock);
  const auto frame = camera->next(milliseconds(0));
  ASSERT_TRUE(frame.has_value());
  const base::ImageView& image = frame->image();
  EXPECT_EQ(image.format, base::PixelFormat::nv12);
  EXPECT_EQ(image.range, base::ColorRange::limited);
  EXPECT_EQ(image.planes[0].size_bytes, 322U * 242);
  EXPECT_EQ(image.planes[1].size_bytes, 322U * 121);
  EXPECT_EQ(image.planes[1].stride_bytes, 322U);
}

}  // namespace
}  // namespace wayside::drivers
