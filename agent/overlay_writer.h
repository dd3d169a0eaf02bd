// SPDX-License-Identifier: Apache-2.0
// OverlayWriter: every N-th processed frame with its boxes as a JPEG file, for setting a device up.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "agent/frame_report.h"
#include "agent/vision/model_card.h"
#include "base/codec/jpeg_encoder.h"
#include "base/result.h"

namespace wayside::agent {

/// Runs in the vision thread and allocates; costs some 10 ms per written picture. Files are "frame_<number>.jpg",
/// written under another name first, so that a viewer never sees half a picture. At most kMaxFiles per run.
class OverlayWriter final : public FrameObserver {
 public:
  static constexpr std::uint64_t kMaxFiles = 10'000;

  /// Makes the folder.
  static base::Result<std::unique_ptr<OverlayWriter>> create(std::filesystem::path folder, std::uint64_t every_frames,
                                                             ModelCard card);
  void observe(const base::ImageView& image, const FrameReport& report) override;

 private:
  OverlayWriter(std::filesystem::path folder, std::uint64_t every_frames, ModelCard card, base::JpegEncoder encoder);
  base::Result<void> write(const base::ImageView& image, const FrameReport& report);

  std::filesystem::path folder_;
  std::uint64_t every_frames_;
  ModelCard card_;
  base::JpegEncoder encoder_;
  std::uint64_t seen_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace wayside::agent
