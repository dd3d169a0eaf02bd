// SPDX-License-Identifier: Apache-2.0
// YOLOv8 heads: one tensor with a row (or column) of coordinates and scores per cell.
#include <algorithm>
#include <array>
#include <format>
#include <utility>
#include <vector>

#include "agent/vision/candidates.h"
#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

/// Coordinates come first, then the classes.
constexpr std::size_t kBoxFields = 4;

class Yolov8Decoder final : public Decoder {
 public:
  struct Shape {
    std::size_t cell_count, class_count;
    bool fields_first;  ///< [1,4+classes,cells] instead of [1,cells,4+classes]
  };
  Yolov8Decoder(const DecoderCard& card, const Shape& shape, InputSize size)
      : card_(card), shape_(shape), size_(size), filter_(card) {}

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    const auto& info = session.outputs()[0];
    const auto bytes = session.output(0);
    const ScoreLayout layout{.offset = index(0, kBoxFields),
                             .cell_count = shape_.cell_count,
                             .cell_stride = index(1, 0),
                             .class_count = shape_.class_count,
                             .class_stride = index(0, 1),
                             .wanted = card_.wanted_classes};
    candidates_.clear();
    scan_tensor(info, bytes, layout, card_.score_threshold,
                [&](std::uint32_t cell, std::int32_t class_id, std::size_t element) {
                  candidates_.offer({real_at(info, bytes, element), cell, class_id});
                });
    const auto sorted = candidates_.sorted();
    const auto field = [&](const Candidate& candidate, std::size_t which) {
      return real_at(info, bytes, index(candidate.cell, which));
    };
    // Exports differ: pixels or fractions of the input. Nothing of interest is smaller than 2 px on all four counts,
    // and no fraction is larger than 2.
    float largest = 0;
    for (const auto& candidate : sorted) {
      for (std::size_t i = 0; i < kBoxFields; ++i) largest = std::max(largest, field(candidate, i));
    }
    const bool fractions = largest <= 2;
    const float scale_x = fractions ? static_cast<float>(size_.width_px) : 1;
    const float scale_y = fractions ? static_cast<float>(size_.height_px) : 1;
    return filter_boxes(sorted, mapping, filter_, [&](const Candidate& candidate) {
      const float x = field(candidate, 0) * scale_x, y = field(candidate, 1) * scale_y;
      const float half_width = field(candidate, 2) * scale_x / 2, half_height = field(candidate, 3) * scale_y / 2;
      filter_.add(candidate, x - half_width, y - half_height, x + half_width, y + half_height);
    });
  }

 private:
  [[nodiscard]] std::size_t index(std::size_t cell, std::size_t field) const {
    return shape_.fields_first ? field * shape_.cell_count + cell : cell * (kBoxFields + shape_.class_count) + field;
  }

  DecoderCard card_;
  Shape shape_;
  InputSize size_;
  CandidateList candidates_;
  BoxFilter filter_;
};

/// The only output, [1,a,b] with both dimensions positive.
base::Result<std::array<std::size_t, 2>> single_output(const accel::Session& session) {
  const auto outputs = session.outputs();
  if (outputs.size() != 1 || outputs[0].shape.size() != 3 || outputs[0].shape[0] != 1 || outputs[0].shape[1] < 1 ||
      outputs[0].shape[2] < 1) {
    return base::fail(base::Code::unsupported,
                      std::format("decoder type yolov8 needs one output of three dimensions; outputs: {}",
                                  describe_outputs(session)));
  }
  WAYSIDE_CHECK(check_readable(outputs[0]));
  return std::array{static_cast<std::size_t>(outputs[0].shape[1]), static_cast<std::size_t>(outputs[0].shape[2])};
}

}  // namespace

base::Result<std::unique_ptr<Decoder>> make_yolov8_decoder(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto shape, single_output(session));
  WAYSIDE_TRY(const auto size, input_size(session));
  // A detector has more cells than fields.
  const bool fields_first = shape[0] < shape[1];
  const std::size_t fields = std::min(shape[0], shape[1]);
  if (fields <= kBoxFields) {
    return base::fail(base::Code::unsupported, std::format("decoder type yolov8 needs [1,4+classes,cells]; outputs: {}",
                                                           describe_outputs(session)));
  }
  WAYSIDE_CHECK(check_labels(card, fields - kBoxFields));
  const Yolov8Decoder::Shape layout{std::max(shape[0], shape[1]), fields - kBoxFields, fields_first};
  return std::make_unique<Yolov8Decoder>(card.decoder, layout, size);
}

}  // namespace wayside::agent
