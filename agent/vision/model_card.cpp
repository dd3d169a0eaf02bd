// SPDX-License-Identifier: Apache-2.0
// See model_card.h.
#include "agent/vision/model_card.h"

#include <algorithm>
#include <format>
#include <fstream>
#include <system_error>
#include <utility>

#include "agent/vision/coco.h"
#include "agent/vision/decoders.h"
#include "base/config.h"

namespace wayside::agent {
namespace {

using base::Code;

constexpr std::pair<DecoderType, std::string_view> kTypes[] = {{DecoderType::ssd, "ssd"},
                                                               {DecoderType::anchor_free, "anchor_free"},
                                                               {DecoderType::yolox, "yolox"},
                                                               {DecoderType::yolov8, "yolov8"},
                                                               {DecoderType::classification, "classification"}};
/// Bound of a label list read from a file.
constexpr std::size_t kMaxLabels = 100'000;
constexpr std::uint32_t kMaxSidePx = 8192;

/// Where a card's text came from, for messages.
struct CardFile {
  std::filesystem::path path;
  std::string name;
};

/// One number for all channels or one each.
base::Result<std::array<float, 3>> three(const std::vector<double>& values, std::string_view where) {
  if (values.size() != 1 && values.size() != 3) {
    return base::fail(Code::invalid_argument, std::format("{} has {} numbers; give 1 or 3", where, values.size()));
  }
  std::array<float, 3> result{};
  for (std::size_t i = 0; i < 3; ++i) result[i] = static_cast<float>(values[values.size() == 1 ? 0 : i]);
  return result;
}

base::Result<void> read_input(const base::YamlNode& node, const CardFile& file, ModelCard& card) {
  base::Fields fields(node, file.name, "input");
  bool letterbox = card.fit == accel::Fit::letterbox;
  std::uint32_t pad = card.pad_value;
  auto color = static_cast<std::size_t>(card.color);
  std::vector<double> mean{0}, deviation{1};
  fields.read("width_px", card.width_px, {1, kMaxSidePx});
  fields.read("height_px", card.height_px, {1, kMaxSidePx});
  fields.read("letterbox", letterbox);
  fields.read("pad_value", pad, {0, 255});
  fields.read_choice("color", color, {"rgb", "bgr", "gray"});
  const bool has_mean = fields.read("mean", mean), has_deviation = fields.read("std", deviation);
  if (std::ranges::find(deviation, 0.0) != deviation.end()) fields.reject("std", "must not be 0");
  WAYSIDE_CHECK(fields.finish());
  card.fit = letterbox ? accel::Fit::letterbox : accel::Fit::stretch;
  card.pad_value = static_cast<std::uint8_t>(pad);
  card.color = static_cast<accel::ColorOrder>(color);
  if (has_mean || has_deviation) {
    accel::Normalization normalization;
    WAYSIDE_TRY(normalization.mean, three(mean, file.name + ": input.mean"));
    WAYSIDE_TRY(normalization.standard_deviation, three(deviation, file.name + ": input.std"));
    card.normalization = normalization;
  }
  return {};
}

base::Result<void> read_decoder(const base::YamlNode& node, const CardFile& file, DecoderCard& card) {
  base::Fields fields(node, file.name, "decoder");
  std::vector<std::string_view> names;
  for (const auto& [type, name] : kTypes) names.push_back(name);
  std::size_t type = 0;
  fields.require("type");
  fields.read_choice("type", type, names);
  std::vector<double> strides;
  double score = card.score_threshold, iou_limit = card.iou_threshold;
  fields.read("strides", strides);
  fields.read("score_threshold", score, {0, 1});
  fields.read("iou_threshold", iou_limit, {0, 1});
  fields.read("max_detections", card.max_detections, {1, kMaxDetections});
  fields.read("class_agnostic", card.class_agnostic);
  bool logits = false;
  if (fields.read("logits", logits)) card.logits = logits;
  for (const double stride : strides) {
    if (stride < 1 || stride > kMaxSidePx || stride != static_cast<double>(static_cast<std::uint32_t>(stride))) {
      fields.reject("strides", "must be whole numbers of pixels, e.g. [8, 16, 32]");
      break;
    }
    card.strides.push_back(static_cast<std::uint32_t>(stride));
  }
  WAYSIDE_CHECK(fields.finish());
  card.type = kTypes[type].first;
  card.score_threshold = static_cast<float>(score);
  card.iou_threshold = static_cast<float>(iou_limit);
  return {};
}

base::Result<std::vector<std::string>> read_labels(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) {
    return base::fail(Code::not_found,
                      std::format("labels_file {} cannot be read: check the path in the model card", path.string()));
  }
  std::vector<std::string> labels;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (labels.size() == kMaxLabels) {
      return base::fail(Code::exhausted,
                        std::format("labels_file {} has more than {} lines", path.string(), kMaxLabels));
    }
    labels.push_back(std::move(line));
  }
  return labels;
}

/// The card for a model that has none.
base::Result<ModelCard> derive_card(const std::filesystem::path& model, const accel::Session& session) {
  ModelCard card;
  card.name = model.stem().string();
  const auto inputs = session.inputs();
  if (!inputs.empty() && !inputs[0].shape.empty() && inputs[0].shape.back() == 1) card.color = accel::ColorOrder::gray;
  const auto outputs = session.outputs();
  if (const auto& ssd = session.info().ssd) {
    // The TensorFlow object detection API trains its SSDs on stretched pictures and its "fast" suppression ignores
    // classes.
    card.decoder = {.type = DecoderType::ssd, .iou_threshold = ssd->iou_threshold, .class_agnostic = true};
    card.fit = accel::Fit::stretch;
    card.labels = coco_labels(static_cast<std::size_t>(std::max(0, ssd->class_count)));
    return card;
  }
  if (outputs.size() == 1 && !outputs[0].shape.empty() &&
      outputs[0].element_count() == static_cast<std::size_t>(std::max(0, outputs[0].shape.back()))) {
    card.decoder = {.type = DecoderType::classification, .score_threshold = 0.1F, .max_detections = 5};
    card.fit = accel::Fit::stretch;
    return card;
  }
  if (const auto head = find_anchor_free_head(card, session)) {
    card.decoder.type = DecoderType::anchor_free;
    card.labels = coco_labels(head->class_count);
    return card;
  }
  return base::fail(Code::unsupported, std::format("outputs {} fit no decoder by themselves: describe the model in {}",
                                                   describe_outputs(session),
                                                   std::filesystem::path(model).replace_extension(".yaml").string()));
}

}  // namespace

std::string_view to_string(DecoderType type) {
  for (const auto& [value, name] : kTypes) {
    if (value == type) return name;
  }
  return "unknown";
}

base::Result<ModelCard> load_model_card(const std::filesystem::path& path, bool other_files) {
  WAYSIDE_TRY(const auto document, base::load_yaml(path));
  const CardFile file{path, path.string()};
  ModelCard card;
  base::Fields fields(document, file.name, "");
  fields.read("name", card.name);
  fields.read("version", card.version);
  fields.read("license", card.license);
  const auto* input = fields.child("input");
  fields.require("decoder");
  const auto* decoder = fields.child("decoder");
  std::string labels_file;
  const bool has_labels = fields.read("labels", card.labels);
  if (fields.read("labels_file", labels_file) && has_labels) {
    fields.reject("labels_file", "give either labels or labels_file");
  }
  if (!labels_file.empty() && !other_files) fields.reject("labels_file", "a package has no other files; give labels");
  WAYSIDE_CHECK(fields.finish());
  if (input != nullptr) WAYSIDE_CHECK(read_input(*input, file, card));
  WAYSIDE_CHECK(read_decoder(*decoder, file, card.decoder));
  if (!labels_file.empty()) {
    WAYSIDE_TRY(card.labels, read_labels(path.parent_path() / labels_file));
  }
  if (card.name.empty()) card.name = path.stem().string();
  return card;
}

base::Result<ModelCard> model_card_for(const std::filesystem::path& model, const accel::Session& session) {
  auto path = model;
  path.replace_extension(".yaml");
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return derive_card(model, session);
  WAYSIDE_TRY(auto card, load_model_card(path));
  if (auto spec = preprocess_spec(card, session); !spec) {
    spec.error().context(path.string());
    return std::unexpected(std::move(spec).error());
  }
  return card;
}

base::Result<accel::PreprocessSpec> preprocess_spec(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto size, input_size(session));
  const auto& input = session.inputs()[0];
  if ((card.width_px != 0 && card.width_px != size.width_px) ||
      (card.height_px != 0 && card.height_px != size.height_px)) {
    return base::fail(Code::invalid_argument,
                      std::format("the model card says input {}x{}, but the model's is {}x{}", card.width_px,
                                  card.height_px, size.width_px, size.height_px));
  }
  const int channels = card.color == accel::ColorOrder::gray ? 1 : 3;
  if (input.shape[3] != channels) {
    return base::fail(Code::invalid_argument,
                      std::format("the model card's color needs {} channels, but the model's input {} has {}", channels,
                                  describe(input), input.shape[3]));
  }
  return accel::PreprocessSpec{.input = input,
                               .order = card.color,
                               .fit = card.fit,
                               .pad_value = card.pad_value,
                               .normalization = card.normalization};
}

std::string label_of(const ModelCard& card, std::int32_t class_id) {
  const auto index = static_cast<std::size_t>(class_id);
  if (class_id >= 0 && index < card.labels.size()) return card.labels[index];
  return std::format("class_{}", class_id);
}

}  // namespace wayside::agent
