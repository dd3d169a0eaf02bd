// SPDX-License-Identifier: Apache-2.0
// SSD heads with anchors, as TFLite_Detection_PostProcess decodes them.
#include <cmath>
#include <format>

#include "agent/vision/candidates.h"
#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

class SsdDecoder final : public Decoder {
 public:
  SsdDecoder(const DecoderCard& card, const accel::SsdHead& head, const ScoreLayout& scores, InputSize size)
      : card_(card), head_(head), scores_(scores), size_(size), filter_(card) {
    scores_.wanted = card_.wanted_classes;
  }

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    const auto& score_info = session.outputs()[head_.score_output];
    const auto score_bytes = session.output(head_.score_output);
    candidates_.clear();
    scan_tensor(score_info, score_bytes, scores_, card_.score_threshold,
                [&](std::uint32_t anchor, std::int32_t class_id, std::size_t element) {
                  candidates_.offer({real_at(score_info, score_bytes, element), anchor, class_id});
                });
    return filter_boxes(candidates_.sorted(), mapping, filter_,
                        [&](const Candidate& candidate) { add_box(session, candidate); });
  }

 private:
  /// detection_postprocess.cc, DecodeCenterSizeBoxes.
  void add_box(const accel::Session& session, const Candidate& candidate) {
    const auto& info = session.outputs()[head_.box_output];
    const auto bytes = session.output(head_.box_output);
    const std::size_t at = 4UL * candidate.cell;
    const float* anchor = head_.anchors.data() + at;
    const float y = real_at(info, bytes, at) / head_.y_scale * anchor[2] + anchor[0];
    const float x = real_at(info, bytes, at + 1) / head_.x_scale * anchor[3] + anchor[1];
    const float half_height = 0.5F * std::exp(real_at(info, bytes, at + 2) / head_.h_scale) * anchor[2];
    const float half_width = 0.5F * std::exp(real_at(info, bytes, at + 3) / head_.w_scale) * anchor[3];
    const auto width = static_cast<float>(size_.width_px), height = static_cast<float>(size_.height_px);
    filter_.add(candidate, (x - half_width) * width, (y - half_height) * height, (x + half_width) * width,
                (y + half_height) * height);
  }

  DecoderCard card_;
  accel::SsdHead head_;
  ScoreLayout scores_;
  InputSize size_;
  CandidateList candidates_;
  BoxFilter filter_;
};

}  // namespace

base::Result<std::unique_ptr<Decoder>> make_ssd_decoder(const ModelCard& card, const accel::Session& session) {
  const auto& head = session.info().ssd;
  const auto outputs = session.outputs();
  if (!head || head->box_output >= outputs.size() || head->score_output >= outputs.size()) {
    return base::fail(base::Code::unsupported,
                      "decoder type ssd needs a model with a TFLite_Detection_PostProcess operator; this one has none");
  }
  WAYSIDE_TRY(const auto size, input_size(session));
  const auto& boxes = outputs[head->box_output];
  const auto& scores = outputs[head->score_output];
  WAYSIDE_CHECK(check_readable(boxes));
  WAYSIDE_CHECK(check_readable(scores));
  const std::size_t anchors = head->anchors.size() / 4;
  const auto width = scores.shape.empty() ? 0 : static_cast<std::size_t>(scores.shape.back());
  const auto classes = static_cast<std::size_t>(head->class_count);
  if (anchors == 0 || head->class_count < 1 || boxes.element_count() != 4 * anchors || width < classes ||
      scores.element_count() != anchors * width) {
    return base::fail(base::Code::unsupported,
                      std::format("ssd head with {} anchors and {} classes does not fit outputs {}", anchors,
                                  head->class_count, describe_outputs(session)));
  }
  WAYSIDE_CHECK(check_labels(card, classes));
  // Background classes come first (detection_postprocess.cc, label_offset).
  const ScoreLayout layout{
      .offset = width - classes, .cell_count = anchors, .cell_stride = width, .class_count = classes};
  return std::make_unique<SsdDecoder>(card.decoder, *head, layout, size);
}

}  // namespace wayside::agent
