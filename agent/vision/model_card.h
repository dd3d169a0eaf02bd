// SPDX-License-Identifier: Apache-2.0
// ModelCard: what a model file does not say about itself: input colours, normalisation, decoder, labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accel/accelerator.h"
#include "accel/preprocess/preprocess.h"
#include "base/result.h"

namespace wayside::agent {

enum class DecoderType : std::uint8_t { ssd, anchor_free, yolox, yolov8, classification };
[[nodiscard]] std::string_view to_string(DecoderType type);

/// How the outputs become detections; see decoder.h for each type's tensors.
struct DecoderCard {
  DecoderType type = DecoderType::anchor_free;
  std::vector<std::uint32_t> strides{};         ///< px per cell of each level; empty: from the shapes
  float score_threshold = 0.4F;                 ///< 0..1
  float iou_threshold = 0.5F;                   ///< 0..1
  std::uint32_t max_detections = 50;            ///< at most kMaxDetections; for classification: the k of top-k
  bool class_agnostic = false;                  ///< a box suppresses boxes of other classes too
  std::vector<std::uint16_t> wanted_classes{};  ///< a cell's best class is sought among these; empty: among all
  std::optional<bool> logits{};  ///< classification: outputs need a softmax; absent: seen from the tensor
};
inline constexpr std::uint32_t kMaxDetections = 400;

struct ModelCard {
  std::string name{}, version{}, license{};
  /// Absent: the model's own input decides.
  std::uint32_t width_px = 0, height_px = 0;
  accel::Fit fit = accel::Fit::letterbox;
  std::uint8_t pad_value = 114;
  accel::ColorOrder color = accel::ColorOrder::rgb;
  std::optional<accel::Normalization> normalization{};  ///< absent: accel::default_normalization()
  DecoderCard decoder{};
  std::vector<std::string> labels{};  ///< name of each class_id
};

/// Reads a card. Relative `labels_file` paths start at the card's folder; one label a line. Errors: not_found, io,
/// corrupt/invalid_argument with file, line and the nearest valid key; invalid_argument for a labels_file where
/// `other_files` is false (a card from a package: nothing in a package is a path).
base::Result<ModelCard> load_model_card(const std::filesystem::path& path, bool other_files = true);

/// The card next to the model (`street.yaml` beside `street.tflite`) if there is one, else derived from the model: ssd
/// when ModelInfo::ssd, classification for one output [1,N], COCO names where their number fits. Checks the card
/// against the model's input. Errors: those of load_model_card; unsupported when the outputs fit no decoder.
base::Result<ModelCard> model_card_for(const std::filesystem::path& model, const accel::Session& session);

/// The pre-processing that card and model ask for. Errors: invalid_argument when they contradict each other.
base::Result<accel::PreprocessSpec> preprocess_spec(const ModelCard& card, const accel::Session& session);

/// The label of a class, or "class_<id>" where the card has none.
[[nodiscard]] std::string label_of(const ModelCard& card, std::int32_t class_id);

}  // namespace wayside::agent
