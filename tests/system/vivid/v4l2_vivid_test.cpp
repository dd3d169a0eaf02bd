// SPDX-License-Identifier: Apache-2.0
// V4l2Camera against the kernel's virtual video driver (vivid) inside a virtual machine; started by ./run.
//
// The machine has two cameras: vivid-000 with the single-planar interface and vivid-001 with the multi-planar one.
// It is emulated and slow: nothing here asserts a rate or a latency.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <stdexcept>
#include <thread>

#include "drivers/camera/list.h"
#include "drivers/camera/v4l2/v4l2_camera.h"
#include "tests/drivers/camera/state_calls.h"
#include "tests/system/vivid/vivid_control.h"

namespace wayside::drivers {
namespace {

using base::Code;
using base::PixelFormat;
using std::chrono::milliseconds;
using test::set_control;

constexpr milliseconds kLong{20000};
constexpr const char* kSingle = "platform:vivid-000";
constexpr const char* kMulti = "platform:vivid-001";
constexpr const char* kDropped = "Percentage of Dropped Buffers";

/// The node of a camera; its number changes when the driver is bound again.
std::string node(std::string_view bus) {
  for (const CameraNode& camera : list_cameras()) {
    if (camera.bus == bus) return camera.path;
  }
  return "/dev/missing";
}

void bind_driver(const char* action) {
  std::ofstream file(std::string("/sys/bus/platform/drivers/vivid/") + action);
  file << "vivid.0" << std::flush;
  EXPECT_TRUE(file.good()) << action;
}

struct Stream {
  std::string path;
  std::unique_ptr<Camera> camera;
  CameraFormat format;

  [[nodiscard]] const V4l2Counters& counters() const { return static_cast<V4l2Camera&>(*camera).counters(); }
};

/// The value, or the end of the test with the reason (GoogleTest reports what is thrown).
template <class T>
T must(base::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Stream start(std::string_view bus, const CameraRequest& request = {640, 360, 30, {PixelFormat::nv12}}) {
  Stream stream{node(bus), nullptr, {}};
  stream.camera = must(open_camera("v4l2:" + stream.path));
  stream.format = must(stream.camera->configure(request));
  must(stream.camera->start());
  return stream;
}

/// The next picture, whatever happens before it, within a bound.
Frame eventually(Camera& camera, std::chrono::seconds bound = std::chrono::seconds(60)) {
  const auto deadline = base::Clock::real().now() + bound;
  while (base::Clock::real().now() < deadline) {
    auto frame = camera.next(milliseconds(500));
    if (frame) return std::move(*frame);
  }
  throw std::runtime_error("no picture within " + std::to_string(bound.count()) + " s");
}

class Vivid : public testing::Test {
 protected:
  void SetUp() override {
    if (node(kSingle) == "/dev/missing") bind_driver("bind");  // a test before ended between unbind and bind
    for (const char* bus : {kSingle, kMulti}) must(set_control(node(bus), kDropped, 0));
  }
};

TEST_F(Vivid, NodesAreListed) {
  const auto cameras = list_cameras();
  ASSERT_EQ(cameras.size(), 2U);
  for (const CameraNode& camera : cameras) {
    EXPECT_EQ(camera.name, "vivid");
    EXPECT_EQ(camera.problem, "");
    EXPECT_NE(std::ranges::find_if(camera.formats, [](const auto& f) { return f == "NV12 up to 3840x2160"; }),
              camera.formats.end());
  }
  EXPECT_EQ(cameras[0].bus, kSingle);
  EXPECT_EQ(cameras[1].bus, kMulti);
}

TEST_F(Vivid, MissingDeviceListsThoseThatExist) {
  const auto camera = open_camera("v4l2:/dev/video99");
  ASSERT_FALSE(camera);
  EXPECT_EQ(camera.error().code, Code::not_found);
  EXPECT_NE(camera.error().message.find(node(kSingle) + " (vivid)"), std::string::npos) << camera.error().message;
  const auto other = open_camera("v4l2:/dev/null");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::unsupported) << other.error().message;
}

TEST_F(Vivid, NegotiationAnswersHonestly) {
  auto camera = must(open_camera("v4l2:" + node(kSingle)));
  auto format = camera->configure({640, 360, 30, {PixelFormat::nv12}});
  ASSERT_TRUE(format) << format.error().message;
  EXPECT_EQ(format->verdict, Verdict::valid) << format->why;
  EXPECT_EQ(format->why, "");
  EXPECT_NEAR(format->rate_hz, 30, 0.1);
  format = camera->configure({800, 600, 30, {}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->verdict, Verdict::adjusted);
  EXPECT_EQ(format->why, "asked 800x600, the nearest that the camera offers is 1280x720");
  EXPECT_EQ(format->width_px, 1280U);
  format = camera->configure({640, 360, 7, {}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->why, "asked 7 Hz, the nearest at this size is 10 Hz");
  format = camera->configure({640, 360, 30, {PixelFormat::mjpeg, PixelFormat::yuyv}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->format, PixelFormat::yuyv);
  EXPECT_EQ(format->verdict, Verdict::adjusted);
  format = camera->configure({20000, 20000, 30, {}});
  ASSERT_TRUE(format);
  EXPECT_EQ(format->width_px, 3840U);
  const auto mjpeg = camera->configure({640, 360, 30, {PixelFormat::mjpeg}});
  ASSERT_FALSE(mjpeg);
  EXPECT_EQ(mjpeg.error().code, Code::unsupported);
  EXPECT_NE(mjpeg.error().message.find("NV12"), std::string::npos) << mjpeg.error().message;
  EXPECT_EQ(camera->configure({640, 0, 30, {}}).error().code, Code::invalid_argument);
  EXPECT_EQ(camera->configure({640, 360, -1, {}}).error().code, Code::invalid_argument);
}

TEST_F(Vivid, EveryCallInEveryState) {
  for (const char* bus : {kSingle, kMulti}) {
    auto camera = open_camera("v4l2:" + node(bus));
    ASSERT_TRUE(camera) << camera.error().message;
    test::expect_states_kept(**camera, kLong);
  }
}

/// Checks size and that the planes hold a picture (vivid draws colour bars), in the mapping and in the dma-buf.
void expect_picture(const base::ImageView& image, PixelFormat format) {
  EXPECT_EQ(image.format, format);
  EXPECT_EQ(image.width_px, 640U);
  EXPECT_EQ(image.height_px, 360U);
  const std::size_t pixel_bytes = format == PixelFormat::rgb24 ? 3 : format == PixelFormat::yuyv ? 2 : 1;
  for (unsigned plane = 0; plane < base::plane_count(format); ++plane) {
    const base::PlaneView& view = image.planes[plane];
    const bool half_width = format == PixelFormat::i420 && plane > 0;
    const std::size_t height = plane > 0 ? 180 : 360;
    ASSERT_NE(view.data, nullptr);
    EXPECT_GE(view.stride_bytes, half_width ? 320U : 640 * pixel_bytes);
    EXPECT_EQ(view.size_bytes, view.stride_bytes * height);
    const std::set<std::uint8_t> values(view.data, view.data + view.size_bytes);
    EXPECT_GE(values.size(), 2U) << "plane " << plane << " is empty";
    ASSERT_GE(view.dmabuf_fd, 0);
    const bool separate = view.dmabuf_fd != image.planes[0].dmabuf_fd;
    const auto offset = static_cast<std::size_t>(separate ? 0 : view.data - image.planes[0].data);
    void* shared = ::mmap(nullptr, offset + view.size_bytes, PROT_READ, MAP_SHARED, view.dmabuf_fd, 0);
    ASSERT_NE(shared, MAP_FAILED) << std::strerror(errno);
    EXPECT_EQ(std::memcmp(static_cast<const std::uint8_t*>(shared) + offset, view.data, view.size_bytes), 0);
    ::munmap(shared, offset + view.size_bytes);
  }
}

TEST_F(Vivid, EachFormatGivesPicturesAndDmaBufs) {
  for (const char* bus : {kSingle, kMulti}) {
    for (const PixelFormat format :
         {PixelFormat::nv12, PixelFormat::i420, PixelFormat::yuyv, PixelFormat::rgb24, PixelFormat::gray8}) {
      SCOPED_TRACE(std::string(bus) + " " + std::string(base::to_string(format)));
      auto stream = start(bus, {640, 360, 30, {format}});
      const auto frame = stream.camera->next(kLong);
      ASSERT_TRUE(frame) << frame.error().message;
      expect_picture(frame->image(), format);
      const auto age = base::Clock::real().now() - frame->timestamp();
      EXPECT_GE(age.count(), 0);
      EXPECT_LT(age, std::chrono::seconds(20));
    }
  }
}

TEST_F(Vivid, PlanesInSeparateBuffers) {
  const auto device = must(V4l2Device::open(node(kMulti)));
  for (const V4l2Code& code : v4l2_codes()) {
    if (code.memory_planes == 1) continue;
    SCOPED_TRACE(fourcc_text(code.fourcc));
    const auto format = negotiate(device, {640, 360, 30, {}}, std::span(&code, 1));
    ASSERT_TRUE(format) << format.error().message;
    auto pool = BufferPool::create(device, *format);
    ASSERT_TRUE(pool) << pool.error().message;
    ASSERT_TRUE((*pool)->stream_on());
    std::optional<V4l2Filled> filled;
    const auto deadline = base::Clock::real().now() + kLong;
    while (!filled && base::Clock::real().now() < deadline) {
      filled = must((*pool)->dequeue());
      std::this_thread::yield();
    }
    ASSERT_TRUE(filled);
    EXPECT_FALSE(filled->damaged);
    const auto image = (*pool)->lease(filled->index);
    EXPECT_NE(image.planes[0].dmabuf_fd, image.planes[1].dmabuf_fd);
    expect_picture(image, code.format);
    (*pool)->release(filled->index);
  }
}

TEST_F(Vivid, SequenceAndTimeRise) {
  auto stream = start(kSingle);
  auto last = eventually(*stream.camera);
  for (int i = 0; i < 20; ++i) {
    const auto sequence = last.sequence();
    const auto timestamp = last.timestamp();
    last = eventually(*stream.camera);
    EXPECT_GT(last.sequence(), sequence);
    EXPECT_GT(last.timestamp(), timestamp);
  }
}

TEST_F(Vivid, LateReaderGetsTheNewest) {
  auto stream = start(kSingle);
  const auto first = eventually(*stream.camera).sequence();
  // The other camera is the clock: after 20 of its pictures this one has long filled all its buffers.
  auto other = start(kMulti);
  for (int i = 0; i < 20; ++i) eventually(*other.camera);
  const auto stale = stream.counters().stale_frames;
  const auto frame = eventually(*stream.camera);
  EXPECT_GT(stream.counters().stale_frames, stale);
  EXPECT_GE(frame.sequence(), first + 2);
}

TEST_F(Vivid, DroppedBuffersShowAsGaps) {
  auto stream = start(kSingle);
  ASSERT_TRUE(set_control(stream.path, kDropped, 60));
  auto last = eventually(*stream.camera).sequence();
  unsigned gaps = 0;
  for (int i = 0; i < 20; ++i) {
    const auto sequence = eventually(*stream.camera).sequence();
    EXPECT_GT(sequence, last);
    if (sequence > last + 1) ++gaps;
    last = sequence;
  }
  EXPECT_GE(gaps, 3U);
  EXPECT_EQ(stream.counters().restarts, 0U);
  EXPECT_TRUE(set_control(stream.path, kDropped, 0));
}

TEST_F(Vivid, DamagedBuffersAreSkipped) {
  auto stream = start(kSingle);
  eventually(*stream.camera);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(set_control(stream.path, "Inject V4L2_BUF_FLAG_ERROR", 1));
    for (int picture = 0; picture < 5; ++picture) EXPECT_TRUE(eventually(*stream.camera).valid());
  }
  EXPECT_GE(stream.counters().damaged_frames, 1U);
}

TEST_F(Vivid, StreamonErrorIsReportedAndNotSticky) {
  auto camera = must(open_camera("v4l2:" + node(kSingle)));
  ASSERT_TRUE(camera->configure({640, 360, 30, {}}));
  ASSERT_TRUE(set_control(node(kSingle), "Inject VIDIOC_STREAMON Error", 1));
  const auto refused = camera->start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::io);
  EXPECT_NE(refused.error().message.find("VIDIOC_STREAMON"), std::string::npos) << refused.error().message;
  EXPECT_EQ(camera->next(milliseconds(10)).error().code, Code::bad_state);
  ASSERT_TRUE(camera->start());
  EXPECT_TRUE(eventually(*camera).valid());
}

TEST_F(Vivid, BufferAllocationErrorIsReportedAndNotSticky) {
  auto camera = must(open_camera("v4l2:" + node(kSingle)));
  ASSERT_TRUE(camera->configure({640, 360, 30, {}}));
  ASSERT_TRUE(set_control(node(kSingle), "Inject VIDIOC_REQBUFS Error", 1));
  EXPECT_FALSE(camera->start());
  ASSERT_TRUE(camera->start());
  EXPECT_TRUE(eventually(*camera).valid());
}

TEST_F(Vivid, QbufErrorsLoseNoBuffer) {
  auto stream = start(kSingle);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(set_control(stream.path, "Inject VIDIOC_QBUF Error", 1));
    EXPECT_TRUE(eventually(*stream.camera).valid());
  }
  // All buffers are still in use: as many leases as buffers can be had at once.
  std::vector<Frame> leases;
  for (std::uint32_t i = 0; i < kV4l2Buffers; ++i) leases.push_back(eventually(*stream.camera));
  EXPECT_EQ(stream.counters().losses, 0U);
}

TEST_F(Vivid, AllOnLeaseIsExhausted) {
  auto stream = start(kSingle);
  std::vector<Frame> leases;
  for (std::uint32_t i = 0; i < kV4l2Buffers; ++i) leases.push_back(eventually(*stream.camera));
  const auto refused = stream.camera->next(milliseconds(200));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::exhausted) << refused.error().message;
  leases.clear();
  EXPECT_TRUE(eventually(*stream.camera).valid());
}

TEST_F(Vivid, LeaseKeptAcrossStopStaysReadable) {
  auto stream = start(kSingle);
  auto held = eventually(*stream.camera);
  stream.camera->stop();
  expect_picture(held.image(), PixelFormat::nv12);
  const auto refused = stream.camera->start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::exhausted) << refused.error().message;
  held.reset();
  must(stream.camera->start());
  EXPECT_TRUE(eventually(*stream.camera).valid());
}

TEST_F(Vivid, SecondUserIsToldThatItIsBusy) {
  auto stream = start(kSingle);
  auto second = must(open_camera("v4l2:" + stream.path));
  const auto refused = second->configure({1280, 720, 30, {}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("another program"), std::string::npos) << refused.error().message;
}

TEST_F(Vivid, InterruptEndsAWait) {
  auto stream = start(kSingle);
  ASSERT_TRUE(set_control(stream.path, kDropped, 100));
  std::thread other([&] { stream.camera->interrupt(); });
  Code last = Code::io;
  for (int i = 0; i < 5 && last != Code::timeout; ++i) {  // a picture or two may still be there
    const auto frame = stream.camera->next(std::chrono::hours(1));
    if (!frame) last = frame.error().code;
  }
  other.join();
  EXPECT_EQ(last, Code::timeout);
  EXPECT_TRUE(set_control(stream.path, kDropped, 0));
}

TEST_F(Vivid, FatalStreamErrorRestartsTheStream) {
  auto stream = start(kSingle);
  const auto before = eventually(*stream.camera).sequence();
  ASSERT_TRUE(set_control(stream.path, "Inject Fatal Streaming Error", 1));
  std::uint64_t last = before;
  for (int i = 0; i < 8; ++i) {
    const auto sequence = eventually(*stream.camera).sequence();
    EXPECT_GT(sequence, last);
    last = sequence;
  }
  EXPECT_EQ(stream.counters().restarts, 1U);
  EXPECT_EQ(stream.counters().losses, 0U);
}

TEST_F(Vivid, StallRestartsThenReopens) {
  auto stream = start(kSingle);
  auto last = eventually(*stream.camera).sequence();
  ASSERT_TRUE(set_control(stream.path, kDropped, 100));
  const auto wait_for = [&](const std::uint64_t& counter, std::uint64_t value) {
    const auto deadline = base::Clock::real().now() + std::chrono::seconds(40);
    while (counter < value && base::Clock::real().now() < deadline) {
      if (auto frame = stream.camera->next(milliseconds(200)); frame) last = frame->sequence();
    }
    return counter >= value;
  };
  EXPECT_TRUE(wait_for(stream.counters().restarts, 1));
  EXPECT_EQ(stream.counters().losses, 0U);
  EXPECT_TRUE(wait_for(stream.counters().losses, 1));
  EXPECT_TRUE(set_control(stream.path, kDropped, 0));
  EXPECT_GT(eventually(*stream.camera).sequence(), last);
  EXPECT_GE(stream.counters().reopens, 1U);
}

TEST_F(Vivid, DisconnectIsReportedAndHealed) {
  auto stream = start(kSingle);
  const auto last = eventually(*stream.camera).sequence();
  // vivid comes back when the last user has closed the node; a picture on lease would count as one, by its mapping.
  ASSERT_TRUE(set_control(stream.path, "Disconnect", 1));
  Code seen = Code::io;
  for (int i = 0; i < 50 && seen != Code::disconnected; ++i) {
    const auto frame = stream.camera->next(milliseconds(200));
    if (!frame) seen = frame.error().code;
  }
  EXPECT_EQ(seen, Code::disconnected);
  const auto back = eventually(*stream.camera);
  EXPECT_GT(back.sequence(), last);
  EXPECT_EQ(stream.counters().losses, 1U);
  EXPECT_GE(stream.counters().reopens, 1U);
}

TEST_F(Vivid, UnplugAndReplug) {
  for (const char* bus : {kSingle, kMulti}) {
    SCOPED_TRACE(bus);
    auto stream = start(bus);
    auto held = eventually(*stream.camera);
    const auto last = held.sequence();
    bind_driver("unbind");
    Code seen = Code::io;
    for (int i = 0; i < 50 && seen != Code::disconnected; ++i) {
      const auto frame = stream.camera->next(milliseconds(200));
      if (!frame) seen = frame.error().code;
    }
    EXPECT_EQ(seen, Code::disconnected);
    // Gone: it keeps saying so, waits as long as it may, and the picture on lease is still readable.
    for (int i = 0; i < 3; ++i) {
      const auto frame = stream.camera->next(milliseconds(700));
      ASSERT_FALSE(frame);
      EXPECT_EQ(frame.error().code, Code::disconnected);
      EXPECT_NE(frame.error().message.find(bus), std::string::npos) << frame.error().message;
    }
    expect_picture(held.image(), PixelFormat::nv12);
    bind_driver("bind");
    const auto back = eventually(*stream.camera);
    EXPECT_GT(back.sequence(), last);
    EXPECT_EQ(back.image().width_px, 640U);
    EXPECT_EQ(stream.counters().reopens, 1U);
    held.reset();
    EXPECT_TRUE(eventually(*stream.camera).valid());
  }
}

TEST_F(Vivid, UnpluggedWhileConfigured) {
  auto camera = must(open_camera("v4l2:" + node(kSingle)));
  ASSERT_TRUE(camera->configure({640, 360, 30, {}}));
  bind_driver("unbind");
  const auto refused = camera->start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::disconnected) << refused.error().message;
  EXPECT_FALSE(camera->configure({640, 360, 30, {}}));
  bind_driver("bind");
  ASSERT_TRUE(camera->configure({640, 360, 30, {}}));
  ASSERT_TRUE(camera->start());
  EXPECT_TRUE(eventually(*camera).valid());
}

}  // namespace
}  // namespace wayside::drivers
