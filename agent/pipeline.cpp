// SPDX-License-Identifier: Apache-2.0
// The two threads of the pipeline and what they do about trouble.
#include "agent/pipeline.h"

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace wayside::agent {
namespace {

/// How long one call into the camera may wait; bounds the time that stop() takes.
constexpr std::chrono::milliseconds kFrameWait{500};
/// Without a frame for this long the camera counts as stalled; slower cameras than 1 Hz are not supported.
constexpr std::chrono::seconds kStallAfter{3};
/// Pause after an error that came back at once, so that an absent camera does not cost a core.
constexpr std::chrono::milliseconds kErrorPause{100};
/// How often a lossless replay looks whether the reporter has made room.
constexpr std::chrono::milliseconds kReporterPoll{1};

std::chrono::nanoseconds since(base::MonotonicTime from, base::MonotonicTime to) {
  return std::max(to - from, std::chrono::nanoseconds(0));
}

}  // namespace

std::string_view to_string(PipelineState::Kind kind) {
  switch (kind) {
    case PipelineState::Kind::starting: return "starting";
    case PipelineState::Kind::running: return "running";
    case PipelineState::Kind::degraded: return "degraded";
    case PipelineState::Kind::finished: return "finished";
  }
  return "unknown";
}

Pipeline::Pipeline(drivers::Camera& camera, FrameProcessor& processor, PipelineOptions options, base::Clock& clock)
    : camera_(camera), processor_(processor), options_(std::move(options)), clock_(clock) {}

Pipeline::~Pipeline() { stop(); }

base::Result<void> Pipeline::start() {
  WAYSIDE_CHECK(camera_.start());
  last_frame_ = clock_.now();
  camera_alive_ns_ = clock_.now().count();
  vision_thread_ = std::thread([this] { vision_loop(); });
  camera_thread_ = std::thread([this] { camera_loop(); });
  return {};
}

void Pipeline::stop() {
  if (!camera_thread_.joinable()) return;
  stopping_ = true;
  camera_.interrupt();
  {
    const std::lock_guard lock(slot_mutex_);
    ended_ = true;
  }
  slot_changed_.notify_all();
  camera_thread_.join();
  vision_thread_.join();
  slot_.reset();
  camera_.stop();
}

PipelineState Pipeline::state() const {
  const std::lock_guard lock(state_mutex_);
  return state_;
}

void Pipeline::set_state(PipelineState::Kind kind, std::string reason) {
  const std::lock_guard lock(state_mutex_);
  if (state_.kind == PipelineState::Kind::finished || (state_.kind == kind && state_.reason == reason)) return;
  base::log_info("pipeline state={} reason=\"{}\"", to_string(kind), reason);
  state_ = {kind, std::move(reason)};
}

Percentiles Pipeline::take_percentiles(Stage stage) { return histograms_[static_cast<std::size_t>(stage)].take(); }

bool Pipeline::progressing(std::chrono::nanoseconds limit) const {
  const auto now_ns = clock_.now().count();
  const auto busy_since_ns = vision_busy_since_ns_.load();
  const bool camera_ok = state().kind == PipelineState::Kind::finished || now_ns - camera_alive_ns_ < limit.count();
  return camera_ok && (busy_since_ns == 0 || now_ns - busy_since_ns < limit.count());
}

void Pipeline::camera_loop() {
  while (!stopping_) {
    const auto asked = clock_.now();
    auto frame = camera_.next(kFrameWait);
    camera_alive_ns_ = clock_.now().count();
    if (stopping_) break;
    if (frame) {
      accept(std::move(*frame));
      continue;
    }
    if (frame.error().code == base::Code::end_of_stream) {
      set_state(PipelineState::Kind::finished);
      break;
    }
    handle_camera_error(frame.error());
    if (clock_.now() - asked < kErrorPause && frame.error().code != base::Code::corrupt) {
      clock_.sleep_until(asked + kErrorPause);
    }
  }
  {
    const std::lock_guard lock(slot_mutex_);
    ended_ = true;
  }
  slot_changed_.notify_all();
}

void Pipeline::handle_camera_error(const base::Error& error) {
  switch (error.code) {
    case base::Code::corrupt: ++counters_.frames_failed; break;
    case base::Code::timeout:
      if (clock_.now() - last_frame_ >= kStallAfter) {
        set_state(PipelineState::Kind::degraded,
                  camera_.describe() + ": no frame for 3 s: check the cable and the light source of the sensor");
      }
      break;
    default: set_state(PipelineState::Kind::degraded, camera_.describe() + ": " + error.message); break;
  }
}

void Pipeline::accept(drivers::Frame frame) {
  last_frame_ = clock_.now();
  ++counters_.frames_in;
  // A sequence that goes back is a camera that was opened again: nothing is known to be missing.
  if (last_sequence_ && frame.sequence() > *last_sequence_ + 1) {
    counters_.frames_dropped += frame.sequence() - *last_sequence_ - 1;
  }
  last_sequence_ = frame.sequence();
  if (!due(frame.timestamp())) {
    ++counters_.frames_skipped;
    return;
  }
  hand_over(std::move(frame));
}

bool Pipeline::due(base::MonotonicTime timestamp) {
  if (options_.rate_hz <= 0) return true;
  const auto period = std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 / options_.rate_hz));
  // A tenth of a period early is in time: otherwise a jitter of microseconds halves a rate equal to the camera's.
  if (timestamp + period / 10 < next_due_) return false;
  next_due_ = std::max(next_due_ + period, timestamp);
  return true;
}

bool Pipeline::hand_over(drivers::Frame frame) {
  drivers::Frame replaced;  // given back to the camera outside the lock
  {
    std::unique_lock lock(slot_mutex_);
    if (options_.lossless) slot_changed_.wait(lock, [this] { return ended_ || !slot_.valid(); });
    if (ended_) return false;
    replaced = std::move(slot_);
    slot_ = std::move(frame);
  }
  slot_changed_.notify_all();
  if (replaced.valid()) ++counters_.frames_dropped;
  return true;
}

std::optional<drivers::Frame> Pipeline::take() {
  std::optional<drivers::Frame> frame;
  {
    std::unique_lock lock(slot_mutex_);
    slot_changed_.wait(lock, [this] { return ended_ || slot_.valid(); });
    if (!slot_.valid() || stopping_) return std::nullopt;
    frame.emplace(std::move(slot_));
  }
  slot_changed_.notify_all();
  return frame;
}

void Pipeline::vision_loop() {
  while (auto frame = take()) {
    // A recording that must be seen whole waits for the reporter; a camera does not.
    while (options_.wait_for_reports && reports_.full() && !stopping_) std::this_thread::sleep_for(kReporterPoll);
    vision_busy_since_ns_ = clock_.now().count();
    process(std::move(*frame));
    vision_busy_since_ns_ = 0;
  }
  vision_ended_ = true;
  if (options_.on_report) options_.on_report();
}

void Pipeline::process(drivers::Frame frame) {
  const auto taken = clock_.now();
  FrameReport* slot = reports_.begin_push();
  FrameReport& report = slot != nullptr ? *slot : spare_;
  report.frame = frame.sequence();
  report.timestamp = frame.timestamp();
  report.width_px = frame.image().width_px;
  report.height_px = frame.image().height_px;
  report.times = {};
  report.count = 0;
  const auto picture = processor_.process(frame.image(), report);
  if (!picture) {
    ++counters_.frames_failed;
    if (picture.error().code != base::Code::corrupt && !vision_failing_) {
      vision_failing_ = true;
      set_state(PipelineState::Kind::degraded, "inference: " + picture.error().message);
    }
    return;
  }
  const auto done = clock_.now();
  report.times[static_cast<std::size_t>(Stage::queue)] = since(frame.timestamp(), taken);
  report.times[static_cast<std::size_t>(Stage::total)] = since(frame.timestamp(), done);
  report.wall_time = clock_.wall_now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(
                                             report.times[static_cast<std::size_t>(Stage::total)]);
  for (std::size_t stage = 0; stage < kStageCount; ++stage) histograms_[stage].record(report.times[stage]);
  ++counters_.frames_processed;
  counters_.detections += report.count;
  if (options_.observer != nullptr) options_.observer->observe(*picture, report);
  frame.reset();
  vision_failing_ = false;
  set_state(PipelineState::Kind::running);
  if (slot != nullptr) reports_.end_push();
  if (options_.on_report) options_.on_report();
}

}  // namespace wayside::agent
