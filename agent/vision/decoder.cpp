// SPDX-License-Identifier: Apache-2.0
// See decoder.h.
#include "agent/vision/decoder.h"

#include <format>

#include "agent/vision/decoders.h"

namespace wayside::agent {

using base::Code;

base::Result<std::unique_ptr<Decoder>> make_decoder(const ModelCard& card, const accel::Session& session) {
  switch (card.decoder.type) {
    case DecoderType::ssd: return make_ssd_decoder(card, session);
    case DecoderType::anchor_free: return make_anchor_free_decoder(card, session);
    case DecoderType::yolox: return make_yolox_decoder(card, session);
    case DecoderType::yolov8: return make_yolov8_decoder(card, session);
    case DecoderType::classification: return make_classification_decoder(card, session);
  }
  return base::fail(Code::unsupported, "unknown decoder type");
}

std::string describe(const accel::TensorInfo& info) {
  std::string shape;
  for (const auto dim : info.shape) shape += std::format("{}{}", shape.empty() ? "" : ",", dim);
  return std::format("'{}' {} [{}]", info.name, accel::to_string(info.type), shape);
}

std::string describe_outputs(const accel::Session& session) {
  std::string text;
  for (const auto& info : session.outputs()) text += (text.empty() ? "" : ", ") + describe(info);
  return text.empty() ? "none" : text;
}

base::Result<InputSize> input_size(const accel::Session& session) {
  const auto inputs = session.inputs();
  if (inputs.empty() || inputs[0].shape.size() != 4 || inputs[0].shape[1] < 1 || inputs[0].shape[2] < 1) {
    return base::fail(Code::unsupported,
                      std::format("the model's input is {}; a picture [1,height,width,channels] is needed",
                                  inputs.empty() ? "missing" : describe(inputs[0])));
  }
  return InputSize{static_cast<std::uint32_t>(inputs[0].shape[2]), static_cast<std::uint32_t>(inputs[0].shape[1])};
}

base::Result<void> check_readable(const accel::TensorInfo& info) {
  const bool quantised = info.type == accel::DType::i8 || info.type == accel::DType::u8;
  if (info.type == accel::DType::f32 || (quantised && info.quantization.scale > 0)) return {};
  return base::fail(Code::unsupported,
                    std::format("output {}: the decoder reads f32, or i8 and u8 with a scale", describe(info)));
}

std::unexpected<base::Error> unfit_outputs(const accel::Session& session, std::string_view type, std::string_view why) {
  return base::fail(Code::unsupported,
                    std::format("decoder type {}: {}; outputs: {}", type, why, describe_outputs(session)));
}

base::Result<std::map<std::pair<std::int32_t, std::int32_t>, std::vector<std::size_t>, std::greater<>>>
outputs_by_level(const accel::Session& session, std::string_view type, std::string_view wanted) {
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<std::size_t>, std::greater<>> levels;
  const auto outputs = session.outputs();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    WAYSIDE_CHECK(check_readable(outputs[i]));
    const auto& shape = outputs[i].shape;
    if (shape.size() != 4 || shape[0] != 1 || shape[1] < 1 || shape[2] < 1 || shape[3] < 1)
      return unfit_outputs(session, type, wanted);
    levels[{shape[1], shape[2]}].push_back(i);
  }
  return levels;
}

base::Result<void> check_labels(const ModelCard& card, std::size_t class_count) {
  if (card.labels.empty() || card.labels.size() == class_count) return {};
  return base::fail(Code::invalid_argument, std::format("the model card has {} labels but the model has {} classes",
                                                        card.labels.size(), class_count));
}

}  // namespace wayside::agent
