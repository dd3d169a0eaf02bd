// SPDX-License-Identifier: Apache-2.0
// Classification: the best classes of one output vector.
#include <algorithm>
#include <cmath>
#include <format>
#include <numeric>
#include <vector>

#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

class ClassificationDecoder final : public Decoder {
 public:
  ClassificationDecoder(const DecoderCard& card, std::size_t class_count) : card_(card) {
    scores_.resize(class_count);
    order_.resize(class_count);
    result_.reserve(std::min<std::size_t>(class_count, card.max_detections));
  }

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    const auto& info = session.outputs()[0];
    const auto bytes = session.output(0);
    for (std::size_t i = 0; i < scores_.size(); ++i) {
      const float value = real_at(info, bytes, i);
      scores_[i] = std::isfinite(value) ? value : std::numeric_limits<float>::lowest();
    }
    if (card_.logits.value_or(!looks_like_probabilities(info))) softmax();

    std::iota(order_.begin(), order_.end(), 0);
    const auto count = static_cast<std::ptrdiff_t>(result_.capacity());
    std::partial_sort(order_.begin(), order_.begin() + count, order_.end(), [&](std::int32_t a, std::int32_t b) {
      const float first = scores_[static_cast<std::size_t>(a)], second = scores_[static_cast<std::size_t>(b)];
      return first != second ? first > second : a < b;
    });
    result_.clear();
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      const auto class_id = order_[static_cast<std::size_t>(i)];
      const float score = scores_[static_cast<std::size_t>(class_id)];
      if (!(score >= card_.score_threshold)) break;
      result_.push_back({mapping.x0_px, mapping.y0_px, mapping.x1_px, mapping.y1_px, std::min(score, 1.0F), class_id});
    }
    return result_;
  }

 private:
  /// Quantised: TFLite fixes the scale of SOFTMAX and LOGISTIC outputs to 1/256. Float: all in 0..1 with a sum of 1.
  [[nodiscard]] bool looks_like_probabilities(const accel::TensorInfo& info) const {
    constexpr float kTolerance = 1e-2F;
    if (info.type != accel::DType::f32) return std::fabs(info.quantization.scale * 256 - 1) < kTolerance;
    const float sum = std::accumulate(scores_.begin(), scores_.end(), 0.0F);
    return std::fabs(sum - 1) < kTolerance && std::ranges::all_of(scores_, [](float score) { return score >= 0; });
  }

  void softmax() {
    const float top = *std::ranges::max_element(scores_);
    float sum = 0;
    for (auto& score : scores_) sum += score = std::exp(score - top);
    for (auto& score : scores_) score /= sum;
  }

  DecoderCard card_;
  std::vector<float> scores_;
  std::vector<std::int32_t> order_;
  std::vector<Detection> result_;
};

}  // namespace

base::Result<std::unique_ptr<Decoder>> make_classification_decoder(const ModelCard& card,
                                                                   const accel::Session& session) {
  const auto outputs = session.outputs();
  const bool vector = outputs.size() == 1 && !outputs[0].shape.empty() && outputs[0].shape.back() >= 1 &&
                      outputs[0].element_count() == static_cast<std::size_t>(outputs[0].shape.back());
  const bool readable = vector && (outputs[0].type == accel::DType::f32 ||
                                   (outputs[0].quantization.scale > 0 && outputs[0].type != accel::DType::i32));
  if (!readable) {
    return base::fail(base::Code::unsupported,
                      std::format("decoder type classification needs one output [1,classes]; outputs: {}",
                                  describe_outputs(session)));
  }
  const auto classes = outputs[0].element_count();
  WAYSIDE_CHECK(check_labels(card, classes));
  return std::make_unique<ClassificationDecoder>(card.decoder, classes);
}

}  // namespace wayside::agent
