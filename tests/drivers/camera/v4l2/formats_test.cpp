// SPDX-License-Identifier: Apache-2.0
// The choice among offered formats, the memory layouts, and the reasons given.
#include "drivers/camera/v4l2/formats.h"

#include <gtest/gtest.h>
#include <linux/videodev2.h>

namespace wayside::drivers {
namespace {

using base::PixelFormat;

V4l2SizeRange one(std::uint32_t width, std::uint32_t height) { return {width, width, 1, height, height, 1}; }

TEST(V4l2Formats, ClosestOfDiscreteSizes) {
  const std::vector<V4l2SizeRange> sizes = {one(1920, 1080), one(640, 480), one(1280, 720), one(320, 240)};
  EXPECT_EQ(closest_size(sizes, {640, 480}), (V4l2Size{640, 480}));
  EXPECT_EQ(closest_size(sizes, {800, 600}), (V4l2Size{1280, 720}));
  EXPECT_EQ(closest_size(sizes, {1, 1}), (V4l2Size{320, 240}));
  EXPECT_EQ(closest_size(sizes, {3840, 2160}), (V4l2Size{1920, 1080}));
  EXPECT_EQ(closest_size(sizes, {1280, 1280}), (V4l2Size{1920, 1080}));  // nothing covers it: most pixels
}

TEST(V4l2Formats, ClosestInARange) {
  const std::vector<V4l2SizeRange> range = {{64, 2592, 16, 64, 1944, 8}};
  EXPECT_EQ(closest_size(range, {640, 480}), (V4l2Size{640, 480}));
  EXPECT_EQ(closest_size(range, {641, 481}), (V4l2Size{656, 488}));
  EXPECT_EQ(closest_size(range, {10, 10}), (V4l2Size{64, 64}));
  EXPECT_EQ(closest_size(range, {9999, 9999}), (V4l2Size{2592, 1944}));
  const std::vector<V4l2SizeRange> stepless = {{64, 640, 0, 64, 480, 0}};  // a driver that leaves the step out
  EXPECT_EQ(closest_size(stepless, {100, 100}), (V4l2Size{100, 100}));
}

TEST(V4l2Formats, ClosestInterval) {
  const std::vector<V4l2Interval> intervals = {{1, 5}, {1, 60}, {1001, 30000}, {1, 15}};
  EXPECT_NEAR(closest_interval(intervals, 30).rate_hz(), 29.97, 0.001);
  EXPECT_EQ(closest_interval(intervals, 10).rate_hz(), 15);
  EXPECT_EQ(closest_interval(intervals, 1).rate_hz(), 5);
  EXPECT_EQ(closest_interval(intervals, 120).rate_hz(), 60);
  EXPECT_NEAR(closest_interval(intervals, 0).rate_hz(), 29.97, 0.001);
  const std::vector<V4l2Interval> fast = {{1, 120}, {1, 60}};
  EXPECT_EQ(closest_interval(fast, 0).rate_hz(), 60);
  EXPECT_EQ(closest_interval({}, 30).numerator, 0U);
  const std::vector<V4l2Interval> broken = {{0, 0}, {0, 1}, {1, 0}};
  EXPECT_EQ(closest_interval(broken, 30).numerator, 0U);
}

TEST(V4l2Formats, BestCandidatePutsSizeThenRateThenOrder) {
  const V4l2Code yuyv{V4L2_PIX_FMT_YUYV, PixelFormat::yuyv, 1};
  const V4l2Code mjpeg{V4L2_PIX_FMT_MJPEG, PixelFormat::mjpeg, 1};
  const auto best = [](std::vector<V4l2Candidate> candidates, V4l2Size wanted, double rate_hz) {
    return candidates[best_candidate(candidates, wanted, rate_hz)].code.format;
  };
  // A USB 2 camera: raw pictures of this size come at 10 Hz only.
  EXPECT_EQ(best({{yuyv, {1280, 720}, {1, 10}}, {mjpeg, {1280, 720}, {1, 30}}}, {1280, 720}, 30), PixelFormat::mjpeg);
  EXPECT_EQ(best({{yuyv, {1280, 720}, {1, 10}}, {mjpeg, {1280, 720}, {1, 30}}}, {1280, 720}, 10), PixelFormat::yuyv);
  EXPECT_EQ(best({{yuyv, {640, 480}, {1, 30}}, {mjpeg, {1280, 720}, {1, 5}}}, {1280, 720}, 30), PixelFormat::mjpeg);
  EXPECT_EQ(best({{yuyv, {640, 480}, {1, 30}}, {mjpeg, {1280, 720}, {1, 5}}}, {1920, 1080}, 30), PixelFormat::mjpeg);
  EXPECT_EQ(best({{yuyv, {640, 480}, {}}, {mjpeg, {640, 480}, {}}}, {640, 480}, 30), PixelFormat::yuyv);
}

TEST(V4l2Formats, LayoutOfContiguousPlanes) {
  const auto nv12 = plane_layout({V4L2_PIX_FMT_NV12, PixelFormat::nv12, 1}, {640, 480}, {768, 0, 0}).value();
  EXPECT_EQ(nv12[1].memory_plane, 0U);
  EXPECT_EQ(nv12[1].offset_bytes, 768U * 480);
  EXPECT_EQ(nv12[1].stride_bytes, 768U);
  EXPECT_EQ(nv12[1].size_bytes, 768U * 240);
  const auto i420 = plane_layout({V4L2_PIX_FMT_YUV420, PixelFormat::i420, 1}, {640, 480}, {640, 0, 0}).value();
  EXPECT_EQ(i420[2].offset_bytes, 640U * 480 * 5 / 4);
  EXPECT_EQ(i420[2].stride_bytes, 320U);
  const auto rgb = plane_layout({V4L2_PIX_FMT_RGB24, PixelFormat::rgb24, 1}, {640, 480}, {1920, 0, 0}).value();
  EXPECT_EQ(rgb[0].size_bytes, 1920U * 480);
}

TEST(V4l2Formats, LayoutOfSeparatePlanes) {
  const auto nv12 = plane_layout({V4L2_PIX_FMT_NV12M, PixelFormat::nv12, 2}, {640, 480}, {640, 704, 0}).value();
  EXPECT_EQ(nv12[1].memory_plane, 1U);
  EXPECT_EQ(nv12[1].offset_bytes, 0U);
  EXPECT_EQ(nv12[1].stride_bytes, 704U);
}

TEST(V4l2Formats, LinesThatAreTooShortAreRefused) {
  EXPECT_FALSE(plane_layout({V4L2_PIX_FMT_NV12, PixelFormat::nv12, 1}, {640, 480}, {639, 0, 0}));
  EXPECT_FALSE(plane_layout({V4L2_PIX_FMT_YUYV, PixelFormat::yuyv, 1}, {640, 480}, {1278, 0, 0}));
  EXPECT_FALSE(plane_layout({V4L2_PIX_FMT_NV12M, PixelFormat::nv12, 2}, {640, 480}, {640, 320, 0}));
  EXPECT_FALSE(plane_layout({V4L2_PIX_FMT_RGB24, PixelFormat::rgb24, 1}, {640, 480}, {0, 0, 0}));
}

TEST(V4l2Formats, JudgesWithAReason) {
  const CameraRequest request{1920, 1080, 30, {PixelFormat::nv12, PixelFormat::mjpeg}};
  EXPECT_EQ(judge(request, PixelFormat::nv12, {1920, 1080}, 30).verdict, Verdict::valid);
  EXPECT_EQ(judge(request, PixelFormat::nv12, {1920, 1080}, 29.97).verdict, Verdict::valid);
  EXPECT_EQ(judge({}, PixelFormat::yuyv, {640, 480}, 5).verdict, Verdict::valid);
  const auto adjusted = judge(request, PixelFormat::mjpeg, {1280, 720}, 15);
  EXPECT_EQ(adjusted.verdict, Verdict::adjusted);
  EXPECT_EQ(adjusted.why,
            "asked 1920x1080, the nearest that the camera offers is 1280x720; asked 30 Hz, the nearest at this size is "
            "15 Hz; asked nv12, which does not give this size and rate; using mjpeg");
}

TEST(V4l2Formats, FourccText) {
  EXPECT_EQ(fourcc_text(V4L2_PIX_FMT_YUYV), "YUYV");
  EXPECT_EQ(fourcc_text(V4L2_PIX_FMT_Y16_BE), "Y16?");
}

}  // namespace
}  // namespace wayside::drivers
