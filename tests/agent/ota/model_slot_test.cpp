// SPDX-License-Identifier: Apache-2.0
// Models are exchanged between two frames, while frames flow.
#include "agent/ota/model_slot.h"

#include <gtest/gtest.h>

#include <thread>

namespace wayside::agent {
namespace {

using namespace std::chrono_literals;

/// Finds `number` objects; waits inside a frame while `gate` is locked.
class Counting final : public FrameProcessor {
 public:
  explicit Counting(std::uint16_t number, std::mutex* gate = nullptr) : number_(number), gate_(gate) {}
  base::Result<base::ImageView> process(const base::ImageView& image, FrameReport& report) override {
    entered = true;
    if (gate_ != nullptr) const std::lock_guard wait(*gate_);
    if (fails) return base::fail(base::Code::io, "the accelerator is gone");
    report.count = number_;
    return image;
  }
  std::atomic<bool> entered{false}, fails{false};

 private:
  std::uint16_t number_;
  std::mutex* gate_;
};

struct ModelSlotTest : testing::Test {
  std::vector<std::uint8_t> pixels = std::vector<std::uint8_t>(16 * 16 * 3, 9);
  base::ImageView image{.format = base::PixelFormat::rgb24, .width_px = 16, .height_px = 16};
  FrameReport report;
  void SetUp() override { image.planes[0] = {.data = pixels.data(), .stride_bytes = 48, .size_bytes = pixels.size()}; }
};

TEST_F(ModelSlotTest, TheNextFrameGoesThroughTheNewModelAndTheOldOneComesBack) {
  auto first = std::make_unique<Counting>(1);
  const auto* kept = first.get();
  ModelSlot slot(std::move(first));
  ASSERT_TRUE(slot.process(image, report));
  auto old = slot.exchange(std::make_unique<Counting>(2), 1s);
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_EQ(old->get(), kept);
  EXPECT_EQ(slot.figures().frames, 0U) << "counted from its coming in";
  EXPECT_FALSE(slot.wait_for_first_frame(1ms));
  ASSERT_TRUE(slot.process(image, report));
  EXPECT_EQ(report.count, 2);
  EXPECT_TRUE(slot.wait_for_first_frame(1ms));
}

TEST_F(ModelSlotTest, AFrameInProgressEndsWithTheOldModel) {
  std::mutex gate;
  auto first = std::make_unique<Counting>(1, &gate);
  auto* slow = first.get();
  ModelSlot slot(std::move(first));
  gate.lock();
  std::thread vision([&] { EXPECT_TRUE(slot.process(image, report)); });
  while (!slow->entered) std::this_thread::yield();
  const auto refused = slot.exchange(std::make_unique<Counting>(2), 20ms);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::timeout);
  gate.unlock();
  vision.join();
  EXPECT_EQ(report.count, 1);
  ASSERT_TRUE(slot.process(image, report));
  EXPECT_EQ(report.count, 1) << "what was refused is not done later";
}

TEST_F(ModelSlotTest, FailuresAreCountedAndNotTapped) {
  auto first = std::make_unique<Counting>(1);
  first->fails = true;
  ModelSlot slot(std::move(first));
  EXPECT_FALSE(slot.process(image, report));
  EXPECT_EQ(slot.figures().failures, 1U);
  EXPECT_EQ(slot.figures().frames, 0U);
}

TEST_F(ModelSlotTest, TheTapCopiesOneFrameInN) {
  ModelSlot slot(std::make_unique<Counting>(3));
  int woken = 0;
  slot.tap(2, [&] { ++woken; });
  ASSERT_TRUE(slot.process(image, report));
  EXPECT_EQ(slot.take_tapped(), nullptr) << "there was no room yet; now there is";
  EXPECT_EQ(woken, 1);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(slot.process(image, report));
  auto tapped = slot.take_tapped();
  ASSERT_NE(tapped, nullptr);
  EXPECT_NE(tapped->image.planes[0].data, pixels.data());
  EXPECT_EQ(tapped->image.planes[0].data[700], 9);
  EXPECT_EQ(tapped->report.count, 3);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(slot.process(image, report));
  EXPECT_EQ(slot.take_tapped(), nullptr) << "one at a time";
  slot.return_tapped(std::move(tapped));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(slot.process(image, report));
  EXPECT_NE(slot.take_tapped(), nullptr);
  slot.tap(0, {});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(slot.process(image, report));
  EXPECT_EQ(slot.take_tapped(), nullptr);
}

}  // namespace
}  // namespace wayside::agent
