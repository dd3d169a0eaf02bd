// SPDX-License-Identifier: Apache-2.0
// ModelSlot: the place of one role in the pipeline; the model in it can be exchanged between two frames, and be looked
// at while it works.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/frame_report.h"
#include "agent/histogram.h"

namespace wayside::agent {

/// What the model in the slot has done since it came in.
struct SlotFigures {
  std::uint64_t frames = 0;    ///< processed
  std::uint64_t failures = 0;  ///< inferences that failed; damaged pictures do not count
};

/// One frame as the working model saw it, with what it found: for a second model to look at.
struct TappedFrame {
  std::vector<std::uint8_t> pixels{};
  base::ImageView image{};  ///< points into pixels
  FrameReport report{};
};

/// process() belongs to the vision thread and allocates nothing but what the model does; everything else to one other
/// thread, the updater's.
class ModelSlot final : public FrameProcessor {
 public:
  explicit ModelSlot(std::unique_ptr<FrameProcessor> first) : current_(std::move(first)) {}

  base::Result<base::ImageView> process(const base::ImageView& image, FrameReport& report) override;

  /// The next frame goes through `next`; what was in the slot comes back, so that it is not destroyed in the vision
  /// thread and can return at once. Waits for the end of the frame that is being processed. timeout, with nothing
  /// changed, when that takes longer than `limit`.
  base::Result<std::unique_ptr<FrameProcessor>> exchange(std::unique_ptr<FrameProcessor> next,
                                                         std::chrono::milliseconds limit);
  /// Waits until the model in the slot has processed a frame; false at the limit (is the camera away?).
  bool wait_for_first_frame(std::chrono::milliseconds limit);

  [[nodiscard]] SlotFigures figures() const;
  /// Inference times since the last call, or since the model came in.
  [[nodiscard]] Percentiles take_inference() { return inference_.take(); }

  /// From now on one processed frame in `one_in` is copied for take_tapped(), while that is empty; 0 ends it. `wake` is
  /// called in the vision thread for each; short, and it must not call back.
  void tap(std::uint32_t one_in, std::function<void()> wake);
  /// The copied frame, if there is one; give it back with return_tapped() for the next.
  std::unique_ptr<TappedFrame> take_tapped();
  void return_tapped(std::unique_ptr<TappedFrame> frame);

 private:
  void copy_for_tap(const base::ImageView& picture, const FrameReport& report);
  void exchange_pending();  // with mutex_ held

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<FrameProcessor> current_, pending_, replaced_;
  bool busy_ = false;
  SlotFigures figures_;
  Histogram inference_;

  // The tap has a mutex of its own: the vision thread only tries it.
  std::mutex tap_mutex_;
  std::uint32_t tap_one_in_ = 0;
  std::uint64_t tap_seen_ = 0;
  std::size_t tap_wants_bytes_ = 0;  ///< the spare frame is too small for the camera's pictures
  std::unique_ptr<TappedFrame> tap_spare_, tap_full_;
  std::function<void()> tap_wake_;
};

}  // namespace wayside::agent
