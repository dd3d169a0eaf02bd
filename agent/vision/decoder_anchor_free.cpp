// SPDX-License-Identifier: Apache-2.0
// Anchor-free heads: per level a tensor of distances to the box's edges and a tensor of class scores.
#include <algorithm>
#include <cmath>
#include <format>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/vision/candidates.h"
#include "agent/vision/decoders.h"
#include "agent/vision/score_scan.h"

namespace wayside::agent {
namespace {

class AnchorFreeDecoder final : public Decoder {
 public:
  AnchorFreeDecoder(const DecoderCard& card, AnchorFreeHead head)
      : card_(card), head_(std::move(head)), filter_(card) {}

  std::span<const Detection> decode(const accel::Session& session, const accel::FrameMapping& mapping) override {
    candidates_.clear();
    std::uint32_t first_cell = 0;  // cells are numbered through all levels
    for (const auto& level : head_.levels) {
      const auto& info = session.outputs()[level.score_output];
      const auto bytes = session.output(level.score_output);
      const std::size_t cells = static_cast<std::size_t>(level.width) * level.height;
      const ScoreLayout layout{.cell_count = cells,
                               .cell_stride = head_.class_count,
                               .class_count = head_.class_count,
                               .wanted = card_.wanted_classes};
      scan_tensor(info, bytes, layout, card_.score_threshold,
                  [&](std::uint32_t cell, std::int32_t class_id, std::size_t element) {
                    candidates_.offer({real_at(info, bytes, element), first_cell + cell, class_id});
                  });
      first_cell += static_cast<std::uint32_t>(cells);
    }
    return filter_boxes(candidates_.sorted(), mapping, filter_,
                        [&](const Candidate& candidate) { add_box(session, candidate); });
  }

 private:
  void add_box(const accel::Session& session, const Candidate& candidate) {
    const auto [level, cell] = level_of(head_.levels, candidate.cell);
    const auto& info = session.outputs()[level->box_output];
    const auto bytes = session.output(level->box_output);
    const auto stride = static_cast<float>(level->stride_px);
    const auto distance = [&](std::size_t side) {
      return std::max(0.0F, real_at(info, bytes, 4UL * cell + side)) * stride;
    };
    const float x = (static_cast<float>(cell % level->width) + 0.5F) * stride;
    const float y = (static_cast<float>(cell / level->width) + 0.5F) * stride;
    filter_.add(candidate, x - distance(0), y - distance(1), x + distance(2), y + distance(3));
  }

  DecoderCard card_;
  AnchorFreeHead head_;
  CandidateList candidates_;
  BoxFilter filter_;
};

enum class Part : std::uint8_t { unknown, boxes, scores };

Part part_by_name(std::string_view name) {
  const auto has = [&](std::string_view word) { return name.find(word) != std::string_view::npos; };
  if (has("box") || has("bbox") || has("reg")) return Part::boxes;
  if (has("score") || has("cls") || has("class")) return Part::scores;
  return Part::unknown;
}

/// TFLite fixes the scale of quantised LOGISTIC outputs to 1/256.
bool looks_like_logistic(const accel::TensorInfo& info) { return std::fabs(info.quantization.scale * 256 - 1) < 1e-3F; }

/// Which of two equally large tensors holds the boxes; 2 when it cannot be told.
std::size_t box_tensor(const accel::TensorInfo& a, const accel::TensorInfo& b) {
  const bool a_fits = a.shape[3] == 4, b_fits = b.shape[3] == 4;
  if (a_fits != b_fits) return a_fits ? 0 : 1;
  if (!a_fits) return 2;
  const Part a_part = part_by_name(a.name), b_part = part_by_name(b.name);
  if (a_part != b_part) return a_part == Part::boxes || b_part == Part::scores ? 0 : 1;
  const bool a_logistic = looks_like_logistic(a), b_logistic = looks_like_logistic(b);
  if (a_logistic != b_logistic) return a_logistic ? 1 : 0;
  return 2;
}

}  // namespace

base::Result<AnchorFreeHead> find_anchor_free_head(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(const auto size, input_size(session));
  const auto outputs = session.outputs();
  const auto reject = [&](std::string_view why) { return unfit_outputs(session, "anchor_free", why); };
  WAYSIDE_TRY(const auto by_size,
              outputs_by_level(session, "anchor_free", "each output must be [1,h,w,4] or [1,h,w,classes]"));
  AnchorFreeHead head;
  for (const auto& [cells, indices] : by_size) {
    if (indices.size() != 2)
      return reject(std::format("level {}x{} needs two outputs, boxes and scores", cells.second, cells.first));
    const std::size_t box = box_tensor(outputs[indices[0]], outputs[indices[1]]);
    if (box == 2) return reject("cannot tell boxes from scores: put 'box' and 'score' into the tensors' names");
    HeadLevel level{.box_output = indices[box],
                    .score_output = indices[1 - box],
                    .width = static_cast<std::uint32_t>(cells.second),
                    .height = static_cast<std::uint32_t>(cells.first)};
    level.stride_px = (size.width_px + level.width - 1) / level.width;
    const auto& wanted = card.decoder.strides;
    if (!wanted.empty() && std::ranges::find(wanted, level.stride_px) == wanted.end()) {
      return reject(std::format("level {}x{} has stride {}, which the model card does not list", level.width,
                                level.height, level.stride_px));
    }
    const auto classes = static_cast<std::size_t>(outputs[level.score_output].shape[3]);
    if (head.class_count != 0 && head.class_count != classes) return reject("levels differ in their number of classes");
    head.class_count = classes;
    head.levels.push_back(level);
  }
  if (head.levels.empty()) return reject("the model has no outputs");
  return head;
}

base::Result<std::unique_ptr<Decoder>> make_anchor_free_decoder(const ModelCard& card, const accel::Session& session) {
  WAYSIDE_TRY(auto head, find_anchor_free_head(card, session));
  WAYSIDE_CHECK(check_labels(card, head.class_count));
  return std::make_unique<AnchorFreeDecoder>(card.decoder, std::move(head));
}

}  // namespace wayside::agent
