// SPDX-License-Identifier: Apache-2.0
// The flexbuffer map of the operator and its anchors.
#include "accel/cpu/ssd_head.h"

#include <flatbuffers/flexbuffers.h>

#include <cmath>
#include <cstring>
#include <format>

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

// Bounds: the operator allocates by these numbers in the decoder.
constexpr std::int32_t kMaxDetections = 10'000;
constexpr std::int32_t kMaxClasses = 100'000;

/// Strings and missing keys would silently read as 0.
Result<double> number(const flexbuffers::Map& map, const char* key) {
  const auto value = map[key];
  if (!value.IsNumeric()) return fail(Code::corrupt, std::format("option {} is missing or not a number", key));
  return value.AsDouble();
}

Result<float> positive(const flexbuffers::Map& map, const char* key) {
  WAYSIDE_TRY(const double value, number(map, key));
  const auto rounded = static_cast<float>(value);
  if (!std::isfinite(rounded) || rounded <= 0)
    return fail(Code::corrupt, std::format("option {} is not positive", key));
  return rounded;
}

Result<float> threshold(const flexbuffers::Map& map, const char* key) {
  WAYSIDE_TRY(const double value, number(map, key));
  // Trained models carry thresholds such as 1e-8, 0 or -inf for "keep all".
  if (!(value <= 1)) return fail(Code::corrupt, std::format("option {} is above 1", key));
  return static_cast<float>(value);
}

Result<std::int32_t> count(const flexbuffers::Map& map, const char* key, std::int32_t max) {
  WAYSIDE_TRY(const double value, number(map, key));
  if (!(value >= 1 && value <= max)) {
    return fail(Code::corrupt, std::format("option {} is {}, expected 1..{}", key, value, max));
  }
  return static_cast<std::int32_t>(value);
}

Result<void> read_options(std::span<const std::byte> bytes, SsdHead& head) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  // A root needs three bytes: value, type, width.
  if (bytes.size() < 3 || !flexbuffers::VerifyBuffer(data, bytes.size())) {
    return fail(Code::corrupt, "its options are not a flexbuffer");
  }
  const auto root = flexbuffers::GetRoot(data, bytes.size());
  if (!root.IsMap()) return fail(Code::corrupt, "its options are not a map");
  const auto map = root.AsMap();
  WAYSIDE_TRY(head.y_scale, positive(map, "y_scale"));
  WAYSIDE_TRY(head.x_scale, positive(map, "x_scale"));
  WAYSIDE_TRY(head.h_scale, positive(map, "h_scale"));
  WAYSIDE_TRY(head.w_scale, positive(map, "w_scale"));
  WAYSIDE_TRY(head.score_threshold, threshold(map, "nms_score_threshold"));
  WAYSIDE_TRY(head.iou_threshold, threshold(map, "nms_iou_threshold"));
  WAYSIDE_TRY(head.max_detections, count(map, "max_detections", kMaxDetections));
  WAYSIDE_TRY(head.max_classes_per_detection, count(map, "max_classes_per_detection", kMaxClasses));
  WAYSIDE_TRY(head.class_count, count(map, "num_classes", kMaxClasses));
  return {};
}

std::vector<float> dequantized(const Tensor& tensor) {
  std::vector<float> values(tensor.shape.element_count());
  if (tensor.type == DType::f32) {
    std::memcpy(values.data(), tensor.data.data(), values.size() * sizeof(float));
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto byte = std::to_integer<std::uint8_t>(tensor.data[i]);
    const std::int32_t q = tensor.type == DType::u8 ? std::int32_t{byte} : std::int32_t{static_cast<std::int8_t>(byte)};
    values[i] = tensor.quantization.scale * static_cast<float>(q - tensor.quantization.zero_point);
  }
  return values;
}

Result<void> check_shapes(const SsdHead& head, const Tensor& boxes, const Tensor& scores, const Tensor& anchors) {
  const bool ranks = boxes.shape.rank() == 3 && scores.shape.rank() == 3 && anchors.shape.rank() == 2;
  if (!ranks || boxes.shape[0] != 1 || scores.shape[0] != 1 || boxes.shape[2] != 4 || anchors.shape[1] != 4 ||
      boxes.shape[1] != scores.shape[1] || boxes.shape[1] != anchors.shape[0]) {
    return fail(Code::corrupt, std::format("boxes {}, scores {} and anchors {} do not fit together",
                                           to_string(boxes.shape), to_string(scores.shape), to_string(anchors.shape)));
  }
  const std::int32_t background = scores.shape[2] - head.class_count;
  if (background != 0 && background != 1) {
    return fail(Code::corrupt, std::format("scores {} for {} classes", to_string(scores.shape), head.class_count));
  }
  return {};
}

}  // namespace

Result<SsdHead> read_ssd_head(std::span<const std::byte> options, const Tensor& boxes, const Tensor& scores,
                              const Tensor& anchors) {
  SsdHead head;
  WAYSIDE_CHECK(read_options(options, head));
  const bool quantized = (anchors.type == DType::i8 || anchors.type == DType::u8) && anchors.scales.size() == 1;
  if (!anchors.is_constant() || !(anchors.type == DType::f32 || quantized)) {
    return fail(Code::unsupported, "anchors must be a constant f32, i8 or u8 tensor");
  }
  WAYSIDE_CHECK(check_shapes(head, boxes, scores, anchors));
  head.anchors = dequantized(anchors);
  for (const float value : head.anchors) {
    if (!std::isfinite(value)) return fail(Code::corrupt, "an anchor is not finite");
  }
  return head;
}

}  // namespace wayside::accel::cpu
