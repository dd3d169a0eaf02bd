// SPDX-License-Identifier: Apache-2.0
// YOLOX heads: boxes, objectness and class scores of each cell, in one tensor for all levels or three for each level.
#include <algorithm>
#include <cmath>
#include <format>
#include <optional>
#include <utility>
#include <vector>

#include "agent/vision/candidates.h"
#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

constexpr std::size_t kBoxFields = 4;

/// Numbers of each cell of a level: the first one's place in an output, and how far the cells are apart.
struct Part {
  std::size_t output = 0, first = 0, stride = 0;
};
struct Level {
  std::uint32_t width = 0, height = 0, stride_px = 0;
  Part box, object, classes;
};

class YoloxDecoder final : public Decoder {
 public:
  YoloxDecoder(const DecoderCard& card, std::vector<Level> levels, std::size_t class_count)
      : card_(card), levels_(std::move(levels)), class_count_(class_count), filter_(card) {}

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    candidates_.clear();
    std::uint32_t first_cell = 0;  // cells are numbered through all levels
    for (const Level& level : levels_) {
      scan(session, level, first_cell);
      first_cell += level.width * level.height;
    }
    return filter_boxes(candidates_.sorted(), mapping, filter_,
                        [&](const Candidate& candidate) { add_box(session, candidate); });
  }

 private:
  /// The score is objectness times class score, both at most 1: neither may be below the threshold.
  void scan(const accel::Session& session, const Level& level, std::uint32_t first_cell) {
    const auto& object_info = session.outputs()[level.object.output];
    const auto& class_info = session.outputs()[level.classes.output];
    const auto object_bytes = session.output(level.object.output), class_bytes = session.output(level.classes.output);
    const ScoreLayout objectness{.offset = level.object.first,
                                 .cell_count = static_cast<std::size_t>(level.width) * level.height,
                                 .cell_stride = level.object.stride,
                                 .class_count = 1};
    scan_tensor(object_info, object_bytes, objectness, card_.score_threshold,
                [&](std::uint32_t cell, std::int32_t, std::size_t element) {
                  const float object = real_at(object_info, object_bytes, element);
                  const ScoreLayout classes{.offset = level.classes.first + cell * level.classes.stride,
                                            .cell_count = 1,
                                            .cell_stride = level.classes.stride,
                                            .class_count = class_count_,
                                            .wanted = card_.wanted_classes};
                  scan_tensor(class_info, class_bytes, classes, card_.score_threshold,
                              [&](std::uint32_t, std::int32_t class_id, std::size_t at) {
                                const float score = object * real_at(class_info, class_bytes, at);
                                if (score >= card_.score_threshold)
                                  candidates_.offer({score, first_cell + cell, class_id});
                              });
                });
  }

  void add_box(const accel::Session& session, const Candidate& candidate) {
    const auto [level, cell] = level_of(levels_, candidate.cell);
    const auto& info = session.outputs()[level->box.output];
    const auto bytes = session.output(level->box.output);
    const std::size_t at = level->box.first + cell * level->box.stride;
    const auto stride = static_cast<float>(level->stride_px);
    const float x = (real_at(info, bytes, at) + static_cast<float>(cell % level->width)) * stride;
    const float y = (real_at(info, bytes, at + 1) + static_cast<float>(cell / level->width)) * stride;
    const float half_width = std::exp(real_at(info, bytes, at + 2)) * stride / 2;
    const float half_height = std::exp(real_at(info, bytes, at + 3)) * stride / 2;
    filter_.add(candidate, x - half_width, y - half_height, x + half_width, y + half_height);
  }

  DecoderCard card_;
  std::vector<Level> levels_;
  std::size_t class_count_;
  CandidateList candidates_;
  BoxFilter filter_;
};

struct YoloxHead {
  std::vector<Level> levels;  ///< finest first
  std::size_t class_count = 0;
};

/// [1,cells,5+classes]
base::Result<YoloxHead> joined_head(const std::vector<std::uint32_t>& strides, const accel::Session& session,
                                    InputSize size) {
  const auto& shape = session.outputs()[0].shape;
  const auto fields = static_cast<std::size_t>(shape[2]);
  YoloxHead head;
  std::size_t cells = 0;
  for (const auto stride : strides) {
    const std::size_t first = cells * fields;
    head.levels.push_back({.width = size.width_px / stride,
                           .height = size.height_px / stride,
                           .stride_px = stride,
                           .box = {0, first, fields},
                           .object = {0, first + kBoxFields, fields},
                           .classes = {0, first + kBoxFields + 1, fields}});
    cells += static_cast<std::size_t>(head.levels.back().width) * head.levels.back().height;
  }
  if (static_cast<std::size_t>(shape[1]) != cells || fields < kBoxFields + 2) {
    return base::fail(base::Code::unsupported,
                      std::format("decoder type yolox needs [1,{},5+classes] for a {}x{} input; outputs: {}", cells,
                                  size.width_px, size.height_px, describe_outputs(session)));
  }
  head.class_count = fields - kBoxFields - 1;
  return head;
}

/// For each level [1,h,w,4], [1,h,w,1] and [1,h,w,classes]; of those that are alike the first is what comes first here.
base::Result<YoloxHead> split_head(const std::vector<std::uint32_t>& strides, const accel::Session& session,
                                   InputSize size) {
  const auto outputs = session.outputs();
  const auto reject = [&](std::string_view why) { return unfit_outputs(session, "yolox", why); };
  WAYSIDE_TRY(auto by_size,
              outputs_by_level(
                  session, "yolox",
                  "needs one output [1,cells,5+classes], or [1,h,w,4], [1,h,w,1] and [1,h,w,classes] for each level"));
  YoloxHead head;
  for (auto& [cells, indices] : by_size) {
    const auto take = [&, &left = indices](std::size_t channels) -> std::optional<Part> {
      const auto found = std::ranges::find_if(left, [&](std::size_t i) {
        return channels == 0 || static_cast<std::size_t>(outputs[i].shape[3]) == channels;
      });
      if (found == left.end()) return std::nullopt;
      const Part part{.output = *found, .first = 0, .stride = static_cast<std::size_t>(outputs[*found].shape[3])};
      left.erase(found);
      return part;
    };
    if (indices.size() != 3)
      return reject(
          std::format("level {}x{} needs three outputs: boxes, objectness, classes", cells.second, cells.first));
    const auto box = take(kBoxFields), object = take(1), classes = take(0);
    if (!box || !object)
      return reject(std::format("level {}x{} has no output of 4 or of 1 channels", cells.second, cells.first));
    const Level level{.width = static_cast<std::uint32_t>(cells.second),
                      .height = static_cast<std::uint32_t>(cells.first),
                      .stride_px = size.width_px / static_cast<std::uint32_t>(cells.second),
                      .box = *box,
                      .object = *object,
                      .classes = *classes};
    if (!std::ranges::contains(strides, level.stride_px))
      return reject(std::format("level {}x{} has stride {}, which the model card does not list", level.width,
                                level.height, level.stride_px));
    if (head.class_count != 0 && head.class_count != classes->stride)
      return reject("levels differ in their number of classes");
    head.class_count = classes->stride;
    head.levels.push_back(level);
  }
  return head;
}

}  // namespace

base::Result<std::unique_ptr<Decoder>> make_yolox_decoder(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto size, input_size(session));
  auto strides = card.decoder.strides;
  if (strides.empty()) strides = {8, 16, 32};
  std::ranges::sort(strides);
  const auto outputs = session.outputs();
  const bool joined = outputs.size() == 1 && outputs[0].shape.size() == 3;
  if (joined) WAYSIDE_CHECK(check_readable(outputs[0]));
  WAYSIDE_TRY(auto head, joined ? joined_head(strides, session, size) : split_head(strides, session, size));
  WAYSIDE_CHECK(check_labels(card, head.class_count));
  return std::make_unique<YoloxDecoder>(card.decoder, std::move(head.levels), head.class_count);
}

}  // namespace wayside::agent
