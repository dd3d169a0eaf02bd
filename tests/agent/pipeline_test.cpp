// SPDX-License-Identifier: Apache-2.0
// Pipeline: counts, degraded states and recovery, pacing, and no allocation in the vision thread.
#include "agent/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "tests/allocation_counter.h"

namespace wayside::agent {
namespace {

using base::Code;

/// Plays a script of results; a frame's pixels are never looked at.
class ScriptedCamera final : public drivers::Camera, private drivers::Frame::Releaser {
 public:
  struct Step {
    base::Result<std::uint64_t> sequence;
    base::MonotonicTime timestamp{1};
  };

  explicit ScriptedCamera(base::Clock& clock) : clock_(clock) {}

  void add(std::uint64_t sequence, base::MonotonicTime timestamp = base::MonotonicTime{1}) {
    push({.sequence = sequence, .timestamp = timestamp});
  }
  void add_error(Code code, std::string message = "scripted") {
    push({.sequence = base::fail(code, std::move(message))});
  }
  int leased() const { return leased_; }

  std::string describe() const override { return "scripted camera"; }
  base::Result<drivers::CameraFormat> configure(const drivers::CameraRequest&) override {
    return drivers::CameraFormat{};
  }
  base::Result<void> start() override { return {}; }
  base::Result<drivers::Frame> next(std::chrono::milliseconds limit) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !steps_.empty() || interrupted_; });
    if (steps_.empty()) return base::fail(Code::timeout, "interrupted");
    Step step = std::move(steps_.front());
    steps_.pop_front();
    if (!step.sequence) {
      if (step.sequence.error().code == Code::timeout) clock_.sleep_until(clock_.now() + limit);
      return std::unexpected(step.sequence.error());
    }
    ++leased_;
    drivers::Frame::Init init;
    init.image.width_px = 64;
    init.image.height_px = 48;
    init.image.planes[0].data = &pixel_;
    init.sequence = *step.sequence;
    init.timestamp = step.timestamp;
    init.releaser = this;
    return drivers::Frame(init);
  }
  void interrupt() override {
    {
      const std::lock_guard lock(mutex_);
      interrupted_ = true;
    }
    changed_.notify_all();
  }
  void stop() override {}

 private:
  void push(Step step) {
    {
      const std::lock_guard lock(mutex_);
      steps_.push_back(std::move(step));
    }
    changed_.notify_all();
  }
  void release(std::uint32_t) noexcept override { --leased_; }

  base::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> steps_;
  bool interrupted_ = false;
  std::atomic<int> leased_{0};
  std::uint8_t pixel_ = 0;
};

/// One detection per frame; can be made to fail; counts allocations between frames.
class CountingProcessor final : public FrameProcessor {
 public:
  base::Result<base::ImageView> process(const base::ImageView& image, FrameReport& report) override {
    const auto number = ++frames;
    if (number == 10) warm_count_ = test::thread_allocation_count();
    if (fail_at == number) return base::fail(Code::io, "accelerator is gone");
    if (corrupt_at == number) return base::fail(Code::corrupt, "damaged JPEG");
    report.count = 1;
    report.detections[0] = {.x0 = 1, .y0 = 2, .x1 = 3, .y1 = 4, .score = 0.5F, .class_id = 0};
    if (number >= 10) allocations_seen = test::thread_allocation_count() - warm_count_;
    return image;
  }
  std::atomic<std::uint64_t> frames{0};
  std::atomic<std::uint64_t> allocations_seen{0};
  std::uint64_t fail_at = 0;
  std::uint64_t corrupt_at = 0;

 private:
  std::size_t warm_count_ = 0;  // of this thread
};

class PipelineTest : public testing::Test {
 protected:
  void start(PipelineOptions options = {}) {
    options.lossless = true;
    pipeline_ = std::make_unique<Pipeline>(camera_, processor_, std::move(options), clock_);
    ASSERT_TRUE(pipeline_->start());
  }
  /// Waits until a condition holds; the threads make it true, no time passes.
  static void await(const std::function<bool()>& condition) {
    while (!condition()) std::this_thread::yield();
  }
  void await_processed(std::uint64_t count) {
    await([&] { return pipeline_->counters().frames_processed == count; });
  }

  base::ManualClock clock_;
  ScriptedCamera camera_{clock_};
  CountingProcessor processor_;
  std::unique_ptr<Pipeline> pipeline_;
};

TEST_F(PipelineTest, ALosslessReplayWaitsForTheReporter) {
  const std::uint64_t count = Pipeline::kReports + 50;
  for (std::uint64_t sequence = 0; sequence < count; ++sequence) camera_.add(sequence);
  camera_.add_error(Code::end_of_stream);
  start({.wait_for_reports = true});
  await_processed(Pipeline::kReports);  // the ring is full now
  for (std::uint64_t expected = 0; expected < count; ++expected) {
    await([&] { return pipeline_->reports().begin_pop() != nullptr; });
    EXPECT_EQ(pipeline_->reports().begin_pop()->frame, expected);
    pipeline_->reports().end_pop();
  }
  EXPECT_EQ(pipeline_->reports().refused(), 0U);
  pipeline_->stop();
}

TEST_F(PipelineTest, CountsGapsAsDroppedAndReportsEachFrame) {
  for (const std::uint64_t sequence : {5, 6, 9, 10, 2}) camera_.add(sequence);  // 7 and 8 missing; 2: opened again
  camera_.add_error(Code::end_of_stream);
  start();
  await([&] { return pipeline_->state().kind == PipelineState::Kind::finished; });
  await_processed(5);
  pipeline_->stop();
  EXPECT_EQ(pipeline_->counters().frames_in, 5U);
  EXPECT_EQ(pipeline_->counters().frames_dropped, 2U);
  EXPECT_EQ(pipeline_->counters().detections, 5U);
  EXPECT_EQ(camera_.leased(), 0);
  std::vector<std::uint64_t> frames;
  while (const auto* report = pipeline_->reports().begin_pop()) {
    frames.push_back(report->frame);
    EXPECT_EQ(report->count, 1);
    EXPECT_EQ(report->width_px, 64U);
    pipeline_->reports().end_pop();
  }
  EXPECT_EQ(frames, (std::vector<std::uint64_t>{5, 6, 9, 10, 2}));
  EXPECT_EQ(pipeline_->take_percentiles(Stage::total).count, 5U);
}

TEST_F(PipelineTest, AStalledCameraIsDegradedAndRecovers) {
  camera_.add(1);
  start();
  await_processed(1);
  await([&] { return pipeline_->state().kind == PipelineState::Kind::running; });
  for (int index = 0; index < 7; ++index) camera_.add_error(Code::timeout);  // 7 times 500 ms on the manual clock
  await([&] { return pipeline_->state().kind == PipelineState::Kind::degraded; });
  EXPECT_THAT(pipeline_->state().reason, testing::HasSubstr("scripted camera: no frame for 3 s"));
  camera_.add(2);
  await([&] { return pipeline_->state().kind == PipelineState::Kind::running; });
  EXPECT_TRUE(pipeline_->progressing(std::chrono::seconds(1)));
}

TEST_F(PipelineTest, AnUnpluggedCameraSaysSoAndComesBack) {
  camera_.add_error(Code::disconnected, "unplugged");
  start();
  await([&] { return pipeline_->state().kind == PipelineState::Kind::degraded; });
  EXPECT_EQ(pipeline_->state().reason, "scripted camera: unplugged");
  camera_.add(1);
  await([&] { return pipeline_->state().kind == PipelineState::Kind::running; });
}

TEST_F(PipelineTest, DamagedPicturesAndFailedInferencesAreCounted) {
  processor_.corrupt_at = 2;
  processor_.fail_at = 3;
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) camera_.add(sequence);
  camera_.add_error(Code::corrupt);
  start();
  await([&] { return pipeline_->counters().frames_failed == 3; });
  await([&] { return pipeline_->state().kind == PipelineState::Kind::degraded; });
  EXPECT_EQ(pipeline_->state().reason, "inference: accelerator is gone");
  EXPECT_EQ(pipeline_->counters().frames_processed, 1U);
  camera_.add(4);
  await([&] { return pipeline_->state().kind == PipelineState::Kind::running; });
}

TEST_F(PipelineTest, RateLimitSkipsButDoesNotDrop) {
  using std::chrono::milliseconds;
  for (std::uint64_t sequence = 1; sequence <= 300; ++sequence) {
    camera_.add(sequence, milliseconds(33 * sequence) + std::chrono::microseconds(sequence % 7 * 100));
  }
  camera_.add_error(Code::end_of_stream);
  start({.rate_hz = 10});
  await([&] { return pipeline_->state().kind == PipelineState::Kind::finished; });
  pipeline_->stop();
  const auto& counters = pipeline_->counters();
  EXPECT_EQ(counters.frames_dropped, 0U);
  EXPECT_EQ(counters.frames_processed + counters.frames_skipped, 300U);
  EXPECT_NEAR(static_cast<double>(counters.frames_processed), 99, 3);  // 9.9 s at 10 Hz
}

TEST_F(PipelineTest, TheVisionThreadAllocatesNothing) {
  for (std::uint64_t sequence = 1; sequence <= 500; ++sequence) camera_.add(sequence);
  start();
  await_processed(500);
  EXPECT_EQ(processor_.allocations_seen, 0U);
  pipeline_->stop();
  EXPECT_GT(pipeline_->reports().refused(), 0U);  // nobody read: the ring filled up and refused
}

TEST_F(PipelineTest, StopsAtOnceWhileTheCameraWaits) {
  start();
  pipeline_->stop();
  pipeline_->stop();
  EXPECT_EQ(camera_.leased(), 0);
}

}  // namespace
}  // namespace wayside::agent
