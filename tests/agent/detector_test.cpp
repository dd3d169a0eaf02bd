// SPDX-License-Identifier: Apache-2.0
// Detector: a real model on real pictures, errors by name, label filter, no allocation per frame.
#include "agent/detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "agent/app.h"
#include "drivers/camera/camera.h"
#include "tests/allocation_counter.h"

namespace wayside::agent {
namespace {

using testing::HasSubstr;

std::filesystem::path shared_folder() {
  const char* given = std::getenv("WAYSIDE_SHARED");
  return std::filesystem::path(given != nullptr ? given : WAYSIDE_DEFAULT_SHARED) / "data";
}

class DetectorTest : public testing::Test {
 protected:
  void SetUp() override {
    model_ = shared_folder() / "models/int8/ssd_mobilenet_v1.tflite";
    if (!std::filesystem::exists(model_)) GTEST_SKIP() << "needs " << model_ << " (set WAYSIDE_SHARED)";
  }
  base::Result<std::unique_ptr<Detector>> create(DetectorOptions options) {
    options.file = model_;
    return Detector::create(options, *accelerator_, base::Clock::real());
  }
  std::unique_ptr<drivers::Camera> camera(const std::string& uri) {
    auto open = open_configured_camera({.source = uri});
    EXPECT_TRUE(open) << open.error().message;
    EXPECT_TRUE(open->camera->start());
    return std::move(open->camera);
  }

  std::filesystem::path model_;
  std::unique_ptr<accel::Accelerator> accelerator_ = accel::make_cpu_accelerator();
};

TEST_F(DetectorTest, SeesThePersonInTheRealVideoAndAllocatesNothing) {
  auto detector = create({.score_threshold = 0.5F, .labels = {"person", "car"}});
  ASSERT_TRUE(detector) << detector.error().message;
  EXPECT_EQ((*detector)->sha256().size(), 64U);
  EXPECT_THAT((*detector)->describe(), HasSubstr("300x300"));
  const auto video = shared_folder() / "video/one-by-one-person-768x432-10fps.mjpeg";
  if (!std::filesystem::exists(video)) GTEST_SKIP() << "needs " << video;
  const auto source = camera("replay:" + video.string() + "?rate=fast&loop=0");
  auto report = std::make_unique<FrameReport>();
  int frames = 0;
  int persons = 0;
  std::uint64_t allocations = 0;
  while (frames < 200) {
    auto frame = source->next(std::chrono::seconds(5));
    if (!frame) break;
    ++frames;
    const auto before = test::thread_allocation_count();
    const auto picture = (*detector)->process(frame->image(), *report);
    if (frames >= 5) allocations += test::thread_allocation_count() - before;
    ASSERT_TRUE(picture) << picture.error().message;
    EXPECT_EQ(picture->width_px, 768U);
    for (std::size_t index = 0; index < report->count; ++index) {
      const auto& found = report->detections[index];
      EXPECT_THAT(label_of((*detector)->card(), found.class_id), testing::AnyOf("person", "car"));
      EXPECT_GE(found.score, 0.5F);
      EXPECT_LE(found.x1, 768);
      persons += (*detector)->card().labels[static_cast<std::size_t>(found.class_id)] == "person" ? 1 : 0;
    }
  }
  EXPECT_EQ(frames, 200);
  EXPECT_GT(persons, 20);
  EXPECT_EQ(allocations, 0U);
  source->stop();
}

TEST_F(DetectorTest, AnUnknownLabelListsTheKnownOnes) {
  const auto detector = create({.labels = {"persn"}});
  ASSERT_FALSE(detector);
  EXPECT_EQ(detector.error().code, base::Code::invalid_argument);
  EXPECT_THAT(detector.error().message, HasSubstr(model_.string()));
  EXPECT_THAT(detector.error().message, HasSubstr("persn"));
  EXPECT_THAT(detector.error().message, HasSubstr("person, bicycle, car"));
}

TEST_F(DetectorTest, AMissingCardIsNamed) {
  const auto detector = create({.card = "/nonexistent/card.yaml"});
  ASSERT_FALSE(detector);
  EXPECT_THAT(detector.error().message, HasSubstr("/nonexistent/card.yaml"));
}

TEST_F(DetectorTest, ADamagedJpegIsCorruptAndTheNextOneWorks) {
  auto detector = create({});
  ASSERT_TRUE(detector) << detector.error().message;
  auto report = std::make_unique<FrameReport>();
  const std::uint8_t garbage[] = {0xff, 0xd8, 0xff, 0x00, 0x01};
  base::ImageView image;
  image.format = base::PixelFormat::mjpeg;
  image.planes[0] = {.data = garbage, .stride_bytes = 0, .size_bytes = sizeof(garbage)};
  EXPECT_EQ((*detector)->process(image, *report).error().code, base::Code::corrupt);
  const auto source = camera("synthetic:seed=1");
  auto frame = source->next(std::chrono::seconds(5));
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_TRUE((*detector)->process(frame->image(), *report));
  *frame = drivers::Frame();
  source->stop();
}

TEST(ChooseAccelerator, TakesTheFirstPresentAndNamesWhatThereIs) {
  EXPECT_EQ((*choose_accelerator({.accelerator = {"hailo8", "cpu-int8"}}))->name(), "cpu-int8");
  const auto none = choose_accelerator({.accelerator = {"hailo8"}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("this machine has: cpu-int8"));
}

}  // namespace
}  // namespace wayside::agent
