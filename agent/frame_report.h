// SPDX-License-Identifier: Apache-2.0
// FrameReport: what the vision thread found in one frame and how long each stage took; a plain record of fixed size.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/vision/detection.h"
#include "base/clock.h"
#include "base/image.h"
#include "base/result.h"

namespace wayside::agent {

/// The stations of a frame, in order. queue: from the exposure until the vision thread takes the frame (transfer,
/// driver and waiting); total: from the exposure until the detections are known.
enum class Stage : std::uint8_t { queue, decode, preprocess, inference, postprocess, total };
inline constexpr std::size_t kStageCount = 6;
inline constexpr std::array<std::string_view, kStageCount> kStageNames = {"queue",     "decode",      "preprocess",
                                                                          "inference", "postprocess", "total"};

using StageTimes = std::array<std::chrono::nanoseconds, kStageCount>;

struct FrameReport {
  /// More objects than this in one frame are cut, weakest first: a crowded street has some 50, and a message with 100
  /// stays below 16 KiB.
  static constexpr std::size_t kMaxDetections = 100;

  std::uint64_t frame = 0;                            ///< the camera's sequence number
  base::MonotonicTime timestamp{0};                   ///< start of exposure
  std::chrono::system_clock::time_point wall_time{};  ///< the same on the wall clock
  std::uint32_t width_px = 0;                         ///< of the frame
  std::uint32_t height_px = 0;
  StageTimes times{};
  std::uint16_t model = 0;                             ///< index of the model in the configuration
  std::uint16_t count = 0;                             ///< entries used in `detections`, strongest first
  std::array<Detection, kMaxDetections> detections{};  ///< in pixels of the frame
};

/// What turns one picture into detections: a model with its pre- and post-processing. Used by the vision thread only.
class FrameProcessor {
 public:
  virtual ~FrameProcessor() = default;
  /// Fills `report.count`, `.detections`, `.model` and the times of decode to postprocess. Returns the picture in an
  /// uncompressed format, valid until the next call. Allocates nothing after the first frame of a size.
  /// Errors: corrupt (this picture cannot be decoded; go on), anything else: the accelerator failed.
  virtual base::Result<base::ImageView> process(const base::ImageView& image, FrameReport& report) = 0;
};

/// Sees each processed frame in the vision thread before the picture is given back (snapshots, overlays).
class FrameObserver {
 public:
  virtual ~FrameObserver() = default;
  virtual void observe(const base::ImageView& image, const FrameReport& report) = 0;
};

}  // namespace wayside::agent
