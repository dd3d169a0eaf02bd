// SPDX-License-Identifier: Apache-2.0
// SsdTeacher: a COCO-trained SSD on the device's own engine, whose detections label pictures that nobody labelled.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "accel/accelerator.h"
#include "base/result.h"
#include "optimizer/data/picture.h"
#include "optimizer/detector/decode.h"

namespace wayside::optimizer {

class SsdTeacher {
 public:
  /// model: an INT8 or uint8 .tflite with a TFLite_Detection_PostProcess tail and COCO's 90 classes behind a background
  /// class. Errors: those of Accelerator::load; unsupported when the model has another head.
  static base::Result<SsdTeacher> create(const std::filesystem::path& model);

  /// Persons, cars, trucks and buses (one class), bicycles and motorcycles (one class): classes 0..3 of the street
  /// detector, in px of the picture, scores from `least_score` on.
  base::Result<std::vector<Detection>> detect(const Picture& picture, float least_score);

 private:
  SsdTeacher(std::unique_ptr<accel::Accelerator> engine, std::unique_ptr<accel::Session> session)
      : engine_(std::move(engine)), session_(std::move(session)) {}
  [[nodiscard]] std::vector<float> output(std::size_t index) const;

  std::unique_ptr<accel::Accelerator> engine_;
  std::unique_ptr<accel::Session> session_;
};

}  // namespace wayside::optimizer
