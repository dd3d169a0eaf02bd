// SPDX-License-Identifier: Apache-2.0
// Pipeline: camera thread -> newest-wins queue of one -> vision thread -> reports; survives a camera that stalls or
// goes.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/event_ring.h"
#include "agent/frame_report.h"
#include "agent/histogram.h"
#include "base/clock.h"
#include "drivers/camera/camera.h"

namespace wayside::agent {

/// Counts since start; written by the pipeline's threads, read by anybody.
struct PipelineCounters {
  std::atomic<std::uint64_t> frames_in{0};         ///< delivered by the camera
  std::atomic<std::uint64_t> frames_processed{0};  ///< through the model
  std::atomic<std::uint64_t> frames_dropped{0};    ///< gaps in the camera's sequence + replaced while waiting
  std::atomic<std::uint64_t> frames_skipped{0};    ///< left out on purpose (rate_hz of the model)
  std::atomic<std::uint64_t> frames_failed{0};     ///< damaged pictures and failed inferences
  std::atomic<std::uint64_t> detections{0};
};

/// What the camera and the vision thread are doing.
struct PipelineState {
  enum class Kind { starting, running, degraded, finished } kind = Kind::starting;
  std::string reason;  ///< why degraded; one line; empty otherwise
};
[[nodiscard]] std::string_view to_string(PipelineState::Kind kind);

struct PipelineOptions {
  /// At most this many frames per second go through the model; 0: every frame that it can take.
  double rate_hz = 0;
  /// Wait for the vision thread instead of replacing a waiting frame. For finite replays that must see each frame.
  bool lossless = false;
  bool wait_for_reports = false;  ///< the vision thread waits while reports() is full instead of losing records
  /// Called in the vision thread after each report; must be short and must not allocate.
  std::function<void()> on_report{};
  FrameObserver* observer = nullptr;
};

/// start() once, stop() once (or the destructor). The camera must be configured and must outlive the pipeline.
/// After the first frame the vision thread allocates nothing (but for an observer's own work).
class Pipeline {
 public:
  /// Reports wait here for the reporting thread; at 30 Hz this bridges 4 s of a busy reporter.
  static constexpr std::size_t kReports = 128;
  using Reports = EventRing<FrameReport, kReports>;

  Pipeline(drivers::Camera& camera, FrameProcessor& processor, PipelineOptions options, base::Clock& clock);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Starts the camera and both threads. Errors: those of Camera::start().
  base::Result<void> start();
  /// Ends both threads and stops the camera; what was reported before stays readable.
  void stop();

  [[nodiscard]] Reports& reports() { return reports_; }
  [[nodiscard]] const PipelineCounters& counters() const { return counters_; }
  [[nodiscard]] PipelineState state() const;
  /// True when the camera has no more frames and the last one is through.
  [[nodiscard]] bool ended() const { return vision_ended_; }
  /// Percentiles of a stage since the last call.
  [[nodiscard]] Percentiles take_percentiles(Stage stage);
  /// False when the camera thread has not returned from the driver, or the vision thread from one frame, for `limit`:
  /// a hang that only a restart cures. A camera that is away is no hang: its driver answers, and it is degraded.
  [[nodiscard]] bool progressing(std::chrono::nanoseconds limit) const;

 private:
  void camera_loop();
  void vision_loop();
  void accept(drivers::Frame frame);
  void handle_camera_error(const base::Error& error);
  bool hand_over(drivers::Frame frame);
  std::optional<drivers::Frame> take();
  void process(drivers::Frame frame);
  bool due(base::MonotonicTime timestamp);
  void set_state(PipelineState::Kind kind, std::string reason = {});
  bool stall_expected(base::MonotonicTime now) const;

  drivers::Camera& camera_;
  FrameProcessor& processor_;
  PipelineOptions options_;
  base::Clock& clock_;

  PipelineCounters counters_;
  std::array<Histogram, kStageCount> histograms_;
  Reports reports_;
  FrameReport spare_;  // where the vision thread works when the ring is full

  mutable std::mutex state_mutex_;
  PipelineState state_;

  std::mutex slot_mutex_;
  std::condition_variable slot_changed_;
  drivers::Frame slot_;
  bool ended_ = false;  // no more frames will come
  std::atomic<bool> stopping_{false};

  // camera thread only
  std::optional<std::uint64_t> last_sequence_;
  base::MonotonicTime last_frame_{0};
  base::MonotonicTime next_due_{0};
  bool vision_failing_ = false;  // vision thread only

  std::atomic<std::int64_t> camera_alive_ns_{0};
  std::atomic<std::int64_t> vision_busy_since_ns_{0};  // 0: idle
  std::atomic<bool> vision_ended_{false};
  std::thread camera_thread_;
  std::thread vision_thread_;
};

}  // namespace wayside::agent
