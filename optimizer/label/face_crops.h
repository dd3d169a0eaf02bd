// SPDX-License-Identifier: Apache-2.0
// Faces of a picture, found by YuNet, and cut out upright and centred as face recognisers want them.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "optimizer/data/picture.h"
#include "optimizer/heads/yunet.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

class FaceFinder {
 public:
  /// `model`: YuNet as ONNX with 12 outputs (cls, obj, bbox and kps for strides 8, 16 and 32). Errors: those of
  /// import, unsupported.
  static base::Result<FaceFinder> create(const std::filesystem::path& model);

  /// Looks at the picture as a whole; then, unless that showed a face and `small_too` is false, in overlapping squares
  /// of once and twice the network's size. Best score first, one for each face.
  [[nodiscard]] std::vector<Face> find(const Picture& picture, float least_score, bool small_too = true);

 private:
  void look(const Picture& picture, int x0_px, int y0_px, int side_px, float least_score, std::vector<Face>& found);

  std::shared_ptr<ir::Interpreter> network_;
  int side_px_ = 0;
  std::vector<YunetLevel> levels_;
};

/// Turns, scales and moves the picture so that the landmarks come to lie where ArcFace's training set has them (the
/// nearest similarity in least squares), and cuts out side_px * side_px. `moved`: shifts the crop, as an imprecise
/// detector does. Source of the places: insightface, face_align.py, 96x112 form, as Open Model Zoo's
/// face_recognition_demo uses it.
[[nodiscard]] Picture cut_face(const Picture& picture, const Landmarks& landmarks, int side_px, Point moved = {});

}  // namespace wayside::optimizer
