// SPDX-License-Identifier: Apache-2.0
// See candidates.h.
#include "agent/vision/candidates.h"

#include <algorithm>
#include <cmath>

namespace wayside::agent {
namespace {

bool better(const Candidate& a, const Candidate& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.cell != b.cell ? a.cell < b.cell : a.class_id < b.class_id;
}

}  // namespace

void CandidateList::offer(const Candidate& candidate) {
  if (!std::isfinite(candidate.score)) return;
  if (heap_.size() == kMaxDetections) {
    if (!better(candidate, heap_.front())) return;
    std::ranges::pop_heap(heap_, better);
    heap_.pop_back();
  }
  heap_.push_back(candidate);
  std::ranges::push_heap(heap_, better);
}

std::span<const Candidate> CandidateList::sorted() {
  std::ranges::sort_heap(heap_, better);
  return heap_;
}

BoxFilter::BoxFilter(const DecoderCard& card)
    : iou_threshold_(card.iou_threshold),
      class_agnostic_(card.class_agnostic),
      max_detections_(std::min(card.max_detections, kMaxDetections)) {
  kept_.reserve(kMaxDetections);
  result_.reserve(kMaxDetections);
}

void BoxFilter::begin(const accel::FrameMapping& mapping) {
  mapping_ = mapping;
  kept_.clear();
  result_.clear();
}

void BoxFilter::add(const Candidate& candidate, float x0, float y0, float x1, float y1) {
  Detection box{.x0 = mapping_.to_source_x(x0),
                .y0 = mapping_.to_source_y(y0),
                .x1 = mapping_.to_source_x(x1),
                .y1 = mapping_.to_source_y(y1),
                .score = std::min(candidate.score, 1.0F),
                .class_id = candidate.class_id};
  if (!std::isfinite(box.x0) || !std::isfinite(box.y0) || !std::isfinite(box.x1) || !std::isfinite(box.y1)) return;
  if (full() || kept_.size() >= kMaxDetections) return;
  for (const auto& other : kept_) {
    if (!class_agnostic_ && other.class_id != box.class_id) continue;
    if (iou(box, other) > iou_threshold_) return;
  }
  kept_.push_back(box);
  box.x0 = std::clamp(box.x0, mapping_.x0_px, mapping_.x1_px);
  box.x1 = std::clamp(box.x1, mapping_.x0_px, mapping_.x1_px);
  box.y0 = std::clamp(box.y0, mapping_.y0_px, mapping_.y1_px);
  box.y1 = std::clamp(box.y1, mapping_.y0_px, mapping_.y1_px);
  if (box.x1 > box.x0 && box.y1 > box.y0) result_.push_back(box);
}

}  // namespace wayside::agent
