// SPDX-License-Identifier: Apache-2.0
// The bounded list of the best candidates of a frame, and non-maximum suppression over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "accel/preprocess/preprocess.h"
#include "agent/vision/detection.h"
#include "agent/vision/model_card.h"

namespace wayside::agent {

/// A cell or anchor whose best class passed the threshold; its box is not decoded yet.
struct Candidate {
  float score = 0;
  std::uint32_t cell = 0;
  std::int32_t class_id = 0;
};

/// The kMaxDetections best candidates offered since clear(), in constant memory. Equal scores: the lower cell first.
class CandidateList {
 public:
  CandidateList() { heap_.reserve(kMaxDetections); }
  void clear() { heap_.clear(); }
  /// Scores that are not finite are ignored.
  void offer(const Candidate& candidate);
  /// Sorts the list, best first; clear() before the next offer().
  [[nodiscard]] std::span<const Candidate> sorted();

 private:
  std::vector<Candidate> heap_;  ///< the worst one on top
};

/// Collects decoded boxes best first, suppresses overlapping ones, clips the rest to the crop.
class BoxFilter {
 public:
  explicit BoxFilter(const DecoderCard& card);
  void begin(const accel::FrameMapping& mapping);
  /// A box in tensor pixels; call in order of falling score. Boxes with edges that are not finite are ignored.
  void add(const Candidate& candidate, float x0, float y0, float x1, float y1);
  [[nodiscard]] bool full() const { return result_.size() >= max_detections_; }
  [[nodiscard]] std::span<const Detection> result() const { return result_; }

 private:
  float iou_threshold_;
  bool class_agnostic_;
  std::size_t max_detections_;
  accel::FrameMapping mapping_;
  std::vector<Detection> kept_;    ///< as decoded: suppression compares whole boxes
  std::vector<Detection> result_;  ///< clipped, none empty
};

/// The boxes of `best_first` until the filter is full; `add_box` decodes one candidate and gives it to filter.add().
template <class AddBox>
std::span<const Detection> filter_boxes(std::span<const Candidate> best_first, const accel::FrameMapping& mapping,
                                        BoxFilter& filter, const AddBox& add_box) {
  filter.begin(mapping);
  for (const auto& candidate : best_first) {
    if (filter.full()) break;
    add_box(candidate);
  }
  return filter.result();
}

}  // namespace wayside::agent
