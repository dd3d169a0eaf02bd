// SPDX-License-Identifier: Apache-2.0
// See coco.h.
#include "agent/vision/coco.h"

#include <array>
#include <string_view>

namespace wayside::agent {
namespace {

/// By COCO category number minus one; empty where the number is not used.
constexpr std::array<std::string_view, 90> kNames = {"person",
                                                     "bicycle",
                                                     "car",
                                                     "motorcycle",
                                                     "airplane",
                                                     "bus",
                                                     "train",
                                                     "truck",
                                                     "boat",
                                                     "traffic light",
                                                     "fire hydrant",
                                                     "",
                                                     "stop sign",
                                                     "parking meter",
                                                     "bench",
                                                     "bird",
                                                     "cat",
                                                     "dog",
                                                     "horse",
                                                     "sheep",
                                                     "cow",
                                                     "elephant",
                                                     "bear",
                                                     "zebra",
                                                     "giraffe",
                                                     "",
                                                     "backpack",
                                                     "umbrella",
                                                     "",
                                                     "",
                                                     "handbag",
                                                     "tie",
                                                     "suitcase",
                                                     "frisbee",
                                                     "skis",
                                                     "snowboard",
                                                     "sports ball",
                                                     "kite",
                                                     "baseball bat",
                                                     "baseball glove",
                                                     "skateboard",
                                                     "surfboard",
                                                     "tennis racket",
                                                     "bottle",
                                                     "",
                                                     "wine glass",
                                                     "cup",
                                                     "fork",
                                                     "knife",
                                                     "spoon",
                                                     "bowl",
                                                     "banana",
                                                     "apple",
                                                     "sandwich",
                                                     "orange",
                                                     "broccoli",
                                                     "carrot",
                                                     "hot dog",
                                                     "pizza",
                                                     "donut",
                                                     "cake",
                                                     "chair",
                                                     "couch",
                                                     "potted plant",
                                                     "bed",
                                                     "",
                                                     "dining table",
                                                     "",
                                                     "",
                                                     "toilet",
                                                     "",
                                                     "tv",
                                                     "laptop",
                                                     "mouse",
                                                     "remote",
                                                     "keyboard",
                                                     "cell phone",
                                                     "microwave",
                                                     "oven",
                                                     "toaster",
                                                     "sink",
                                                     "refrigerator",
                                                     "",
                                                     "book",
                                                     "clock",
                                                     "vase",
                                                     "scissors",
                                                     "teddy bear",
                                                     "hair drier",
                                                     "toothbrush"};

}  // namespace

std::vector<std::string> coco_labels(std::size_t class_count) {
  std::vector<std::string> labels;
  if (class_count != 80 && class_count != 90 && class_count != 91) return labels;
  const bool with_gaps = class_count != 80;
  for (const auto name : kNames) {
    if (!name.empty()) labels.emplace_back(name);
    if (name.empty() && with_gaps) labels.emplace_back("unused");
  }
  if (class_count == 91) labels.emplace_back("unused");
  return labels;
}

}  // namespace wayside::agent
