// SPDX-License-Identifier: Apache-2.0
// AP50 by the PASCAL VOC 2010 rules.
#include "optimizer/detector/evaluate.h"

#include <algorithm>

namespace wayside::optimizer {
namespace {

constexpr float kMatchIou = 0.5F;

struct Verdict {
  float score = 0;
  bool right = false;
};

/// Judges the detections of one class in one picture, appends a verdict each unless an ignored region excuses it.
std::size_t judge(const Judged& picture, int class_id, std::vector<Verdict>& verdicts) {
  std::vector<const LabelBox*> objects;
  for (const auto& box : picture.truth) {
    if (box.class_id == class_id) objects.push_back(&box);
  }
  std::vector<bool> taken(objects.size(), false);
  for (const auto& detection : picture.found) {  // best score first
    if (detection.box.class_id != class_id) continue;
    float best = 0;
    std::size_t which = 0;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const float iou = overlap(detection.box, *objects[i]);
      if (!taken[i] && iou > best) best = iou, which = i;
    }
    const bool right = best >= kMatchIou;
    if (right) taken[which] = true;
    const bool excused = !right && std::ranges::any_of(picture.truth, [&](const LabelBox& box) {
      return box.class_id == kIgnoreClass && covered(detection.box, box) > 0.5F;
    });
    if (!excused) verdicts.push_back({detection.score, right});
  }
  return objects.size();
}

double area_under_curve(std::span<const Verdict> verdicts, std::size_t object_count) {
  std::vector<double> precision;
  std::vector<double> recall;
  std::size_t right = 0;
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    right += verdicts[i].right ? 1 : 0;
    precision.push_back(static_cast<double>(right) / static_cast<double>(i + 1));
    recall.push_back(static_cast<double>(right) / static_cast<double>(object_count));
  }
  for (std::size_t i = precision.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);
  double area = 0, before = 0;
  for (std::size_t i = 0; i < precision.size(); ++i) {
    area += (recall[i] - before) * precision[i];
    before = recall[i];
  }
  return area;
}

}  // namespace

std::vector<ClassAccuracy> evaluate(std::span<const Judged> pictures, int class_count, float score_threshold) {
  std::vector<ClassAccuracy> classes;
  for (int class_id = 0; class_id < class_count; ++class_id) {
    std::vector<Verdict> verdicts;
    ClassAccuracy accuracy;
    for (const auto& picture : pictures) accuracy.object_count += judge(picture, class_id, verdicts);
    std::ranges::stable_sort(verdicts, std::ranges::greater{}, &Verdict::score);
    if (accuracy.object_count > 0) {
      accuracy.average_precision = area_under_curve(verdicts, accuracy.object_count);
      const auto above = std::ranges::count_if(verdicts, [&](const Verdict& v) { return v.score >= score_threshold; });
      const auto right =
          std::ranges::count_if(verdicts, [&](const Verdict& v) { return v.right && v.score >= score_threshold; });
      accuracy.recall = static_cast<double>(right) / static_cast<double>(accuracy.object_count);
      accuracy.precision = above > 0 ? static_cast<double>(right) / static_cast<double>(above) : 0;
    }
    classes.push_back(accuracy);
  }
  return classes;
}

double mean_average_precision(std::span<const ClassAccuracy> classes) {
  double sum = 0;
  int present = 0;
  for (const auto& accuracy : classes) {
    if (accuracy.object_count == 0) continue;
    sum += accuracy.average_precision;
    ++present;
  }
  return present > 0 ? sum / present : 0;
}

}  // namespace wayside::optimizer
