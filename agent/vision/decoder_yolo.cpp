// SPDX-License-Identifier: Apache-2.0
// YOLOX and YOLOv8 heads: one tensor with a row (or column) of coordinates and scores per cell.
#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <utility>
#include <vector>

#include "agent/vision/candidates.h"
#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

/// Coordinates come first, then (YOLOX) objectness, then the classes.
constexpr std::size_t kBoxFields = 4;

class YoloxDecoder final : public Decoder {
 public:
  struct Level {
    std::uint32_t width, height, stride_px;
  };
  YoloxDecoder(const DecoderCard& card, std::vector<Level> levels, std::size_t cell_count, std::size_t class_count)
      : card_(card), levels_(std::move(levels)), cell_count_(cell_count), class_count_(class_count), filter_(card) {}

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    const auto& info = session.outputs()[0];
    const auto bytes = session.output(0);
    const std::size_t fields = kBoxFields + 1 + class_count_;
    // The score is objectness times class score, both at most 1: neither may be below the threshold.
    const ScoreLayout objectness{
        .offset = kBoxFields, .cell_count = cell_count_, .cell_stride = fields, .class_count = 1};
    candidates_.clear();
    scan_tensor(info, bytes, objectness, card_.score_threshold,
                [&](std::uint32_t cell, std::int32_t, std::size_t element) {
                  const float object = real_at(info, bytes, element);
                  const ScoreLayout classes{.offset = element + 1,
                                            .cell_count = 1,
                                            .cell_stride = fields,
                                            .class_count = class_count_,
                                            .wanted = card_.wanted_classes};
                  scan_tensor(info, bytes, classes, card_.score_threshold,
                              [&](std::uint32_t, std::int32_t class_id, std::size_t at) {
                                const float score = object * real_at(info, bytes, at);
                                if (score >= card_.score_threshold) candidates_.offer({score, cell, class_id});
                              });
                });
    filter_.begin(mapping);
    for (const auto& candidate : candidates_.sorted()) {
      if (filter_.full()) break;
      add_box(info, bytes, candidate);
    }
    return filter_.result();
  }

 private:
  void add_box(const accel::TensorInfo& info, std::span<const std::byte> bytes, const Candidate& candidate) {
    std::uint32_t cell = candidate.cell;
    const auto* level = levels_.data();
    for (; cell >= level->width * level->height; ++level) cell -= level->width * level->height;
    const std::size_t at = (kBoxFields + 1 + class_count_) * candidate.cell;
    const auto stride = static_cast<float>(level->stride_px);
    const float x = (real_at(info, bytes, at) + static_cast<float>(cell % level->width)) * stride;
    const float y = (real_at(info, bytes, at + 1) + static_cast<float>(cell / level->width)) * stride;
    const float half_width = std::exp(real_at(info, bytes, at + 2)) * stride / 2;
    const float half_height = std::exp(real_at(info, bytes, at + 3)) * stride / 2;
    filter_.add(candidate, x - half_width, y - half_height, x + half_width, y + half_height);
  }

  DecoderCard card_;
  std::vector<Level> levels_;
  std::size_t cell_count_, class_count_;
  CandidateList candidates_;
  BoxFilter filter_;
};

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
    filter_.begin(mapping);
    for (const auto& candidate : sorted) {
      if (filter_.full()) break;
      const float x = field(candidate, 0) * scale_x, y = field(candidate, 1) * scale_y;
      const float half_width = field(candidate, 2) * scale_x / 2, half_height = field(candidate, 3) * scale_y / 2;
      filter_.add(candidate, x - half_width, y - half_height, x + half_width, y + half_height);
    }
    return filter_.result();
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
base::Result<std::array<std::size_t, 2>> single_output(const accel::Session& session, std::string_view type) {
  const auto outputs = session.outputs();
  if (outputs.size() != 1 || outputs[0].shape.size() != 3 || outputs[0].shape[0] != 1 || outputs[0].shape[1] < 1 ||
      outputs[0].shape[2] < 1) {
    return base::fail(base::Code::unsupported,
                      std::format("decoder type {} needs one output of three dimensions; outputs: {}", type,
                                  describe_outputs(session)));
  }
  WAYSIDE_CHECK(check_readable(outputs[0]));
  return std::array{static_cast<std::size_t>(outputs[0].shape[1]), static_cast<std::size_t>(outputs[0].shape[2])};
}

}  // namespace

base::Result<std::unique_ptr<Decoder>> make_yolox_decoder(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto shape, single_output(session, "yolox"));
  WAYSIDE_TRY(const auto size, input_size(session));
  auto strides = card.decoder.strides;
  if (strides.empty()) strides = {8, 16, 32};
  std::ranges::sort(strides);
  std::vector<YoloxDecoder::Level> levels;
  std::size_t cells = 0;
  for (const auto stride : strides) {
    levels.push_back({size.width_px / stride, size.height_px / stride, stride});
    cells += static_cast<std::size_t>(levels.back().width) * levels.back().height;
  }
  if (shape[0] != cells || shape[1] < kBoxFields + 2) {
    return base::fail(base::Code::unsupported,
                      std::format("decoder type yolox needs [1,{},5+classes] for a {}x{} input; outputs: {}", cells,
                                  size.width_px, size.height_px, describe_outputs(session)));
  }
  const std::size_t classes = shape[1] - kBoxFields - 1;
  WAYSIDE_CHECK(check_labels(card, classes));
  return std::make_unique<YoloxDecoder>(card.decoder, std::move(levels), cells, classes);
}

base::Result<std::unique_ptr<Decoder>> make_yolov8_decoder(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto shape, single_output(session, "yolov8"));
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
