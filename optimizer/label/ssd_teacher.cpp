// SPDX-License-Identifier: Apache-2.0
// SSD decoding (tensorflow/lite/kernels/detection_postprocess.cc: DecodeCenterSizeBoxes) for labelling.
#include "optimizer/label/ssd_teacher.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <format>
#include <map>
#include <utility>

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// COCO's 90-class numbering without background (person 0, bicycle 1, car 2, motorcycle 3, bus 5, truck 7) to ours.
const std::map<int, int>& street_classes() {
  static const std::map<int, int> classes{{0, 0}, {1, 3}, {2, 1}, {3, 3}, {5, 2}, {7, 2}};
  return classes;
}
constexpr std::int32_t kCocoClasses = 90;

LabelBox decode_box(const accel::SsdHead& head, const float* delta, std::size_t anchor, const Picture& picture) {
  const float* a = &head.anchors[anchor * 4];
  const float y = delta[0] / head.y_scale * a[2] + a[0], x = delta[1] / head.x_scale * a[3] + a[1];
  const float half_h = std::exp(delta[2] / head.h_scale) * a[2] / 2,
              half_w = std::exp(delta[3] / head.w_scale) * a[3] / 2;
  const auto wide = static_cast<float>(picture.width_px), high = static_cast<float>(picture.height_px);
  return {std::clamp((x - half_w) * wide, 0.0F, wide), std::clamp((y - half_h) * high, 0.0F, high),
          std::clamp((x + half_w) * wide, 0.0F, wide), std::clamp((y + half_h) * high, 0.0F, high), 0};
}

}  // namespace

Result<SsdTeacher> SsdTeacher::create(const std::filesystem::path& model) {
  auto engine = accel::make_cpu_accelerator();
  WAYSIDE_TRY(auto session, engine->load(model, {}));
  const auto& ssd = session->info().ssd;
  const auto& input = session->inputs()[0];
  const bool usable = ssd && ssd->class_count == kCocoClasses && input.shape.size() == 4 && input.shape[3] == 3 &&
                      (input.type == accel::DType::u8 || input.type == accel::DType::i8);
  if (!usable) {
    return fail(Code::unsupported, std::format("{}: not an SSD with COCO's {} classes; the teacher must be one",
                                               model.string(), kCocoClasses));
  }
  return SsdTeacher(std::move(engine), std::move(session));
}

std::vector<float> SsdTeacher::output(std::size_t index) const {
  const auto& info = session_->outputs()[index];
  const auto bytes = session_->output(index);
  std::vector<float> values(info.element_count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    const int q = info.type == accel::DType::u8 ? byte : static_cast<std::int8_t>(byte);
    values[i] = info.quantization.scale * static_cast<float>(q - info.quantization.zero_point);
  }
  return values;
}

Result<std::vector<Detection>> SsdTeacher::detect(const Picture& picture, float least_score) {
  const auto& input = session_->inputs()[0];
  Picture small(input.shape[2], input.shape[1]);
  const Picture* source = &picture;
  Picture half;
  while (source->width_px >= 2 * small.width_px && source->height_px >= 2 * small.height_px) {
    half = halve(*source);
    source = &half;
  }
  const Window whole{.step_x = static_cast<double>(source->width_px) / small.width_px,
                     .step_y = static_cast<double>(source->height_px) / small.height_px};
  resample(*source, whole, {0, 0, small.width_px, small.height_px}, 0, small);
  const std::uint8_t flip = input.type == accel::DType::u8 ? 0 : 0x80;  // s8 pictures are u8 - 128
  const auto bytes = session_->input(0);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(small.rgb[i] ^ flip);
  WAYSIDE_CHECK(session_->run());

  const accel::SsdHead& head = *session_->info().ssd;
  const auto deltas = output(head.box_output), scores = output(head.score_output);
  const std::size_t anchors = head.anchors.size() / 4, columns = static_cast<std::size_t>(head.class_count) + 1;
  std::vector<Detection> found;
  for (std::size_t anchor = 0; anchor < anchors; ++anchor) {
    for (const auto& [coco, ours] : street_classes()) {
      const float score = scores[anchor * columns + static_cast<std::size_t>(coco) + 1];
      if (score < least_score) continue;
      LabelBox box = decode_box(head, &deltas[anchor * 4], anchor, picture);
      box.class_id = ours;
      found.push_back({box, score});
    }
  }
  return suppress(std::move(found), {.iou_threshold = 0.5F});
}

}  // namespace wayside::optimizer
