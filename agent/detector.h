// SPDX-License-Identifier: Apache-2.0
// Detector: one model in the pipeline: JPEG decode, pre-processing, inference, post-processing, label filter.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "accel/preprocess/preprocess.h"
#include "agent/frame_report.h"
#include "agent/vision/decoder.h"
#include "agent/vision/model_card.h"
#include "base/clock.h"
#include "base/codec/jpeg_decoder.h"
#include "base/result.h"

namespace wayside::agent {

/// What a signed manifest says about a model, over what its card says.
struct SignedCard {
  std::string name, version;
  std::vector<std::string> labels{};  ///< empty: the card's
  std::string decoder{};              ///< must be the card's; "raw": nothing is said about post-processing
  float score_threshold = 0, iou_threshold = 0;
  std::uint32_t max_detections = 0;
};

struct DetectorOptions {
  std::filesystem::path file;          ///< the .tflite
  std::filesystem::path card{};        ///< empty: found beside the model, or derived from it
  unsigned thread_count = 1;           ///< 0: one per core
  std::chrono::microseconds spin{50};  ///< see accel::SessionOptions
  accel::CoreChoice cores = accel::CoreChoice::any;
  std::optional<float> score_threshold{};   ///< 0..1; absent: the card's
  std::vector<std::string> labels{};        ///< only these are reported; empty: all
  std::uint16_t model_index = 0;            ///< copied into the reports
  std::optional<SignedCard> signed_card{};  ///< for a model from a package; its card may not name other files
};

/// Not thread-safe: belongs to the vision thread once the pipeline runs.
class Detector final : public FrameProcessor {
 public:
  /// Loads and checks everything. Errors name the file and the remedy; invalid_argument for an unknown label lists the
  /// model's labels.
  static base::Result<std::unique_ptr<Detector>> create(const DetectorOptions& options, accel::Accelerator& accelerator,
                                                        base::Clock& clock);

  base::Result<base::ImageView> process(const base::ImageView& image, FrameReport& report) override;

  [[nodiscard]] const ModelCard& card() const { return card_; }
  [[nodiscard]] const accel::Session& session() const { return *session_; }
  [[nodiscard]] const std::string& sha256() const { return sha256_; }
  /// One line for people: "ssd_mobilenet_v1: 300x300 rgb, ssd, 90 classes, 1234 MMAC, arena 1.2 MiB".
  [[nodiscard]] std::string describe() const;

 private:
  Detector(std::unique_ptr<accel::Session> session, accel::Preprocessor preprocessor, base::JpegDecoder jpeg,
           base::Clock& clock);

  std::unique_ptr<accel::Session> session_;
  accel::Preprocessor preprocessor_;
  base::JpegDecoder jpeg_;
  base::Clock& clock_;
  ModelCard card_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<bool> reported_;  ///< by class_id; empty: all
  std::string sha256_;
  std::uint16_t model_index_ = 0;
};

}  // namespace wayside::agent
