// SPDX-License-Identifier: Apache-2.0
// Decoder: a model's raw outputs to detections in frame pixels.
#pragma once

#include <memory>
#include <span>

#include "accel/accelerator.h"
#include "accel/preprocess/preprocess.h"
#include "agent/vision/detection.h"
#include "agent/vision/model_card.h"
#include "base/result.h"

namespace wayside::agent {

/// One per session. Not thread-safe. decode() allocates nothing; scores are compared in their quantised form first and
/// only the survivors (at most kMaxDetections candidates, the best ones) are decoded.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Outputs of the session's last run, best score first; boxes mapped back, clipped to the mapping's crop, empty ones
  /// dropped; NaN and infinite values never come through. The span is valid until the next decode().
  /// A classification gives the best classes, each with the whole crop as its box.
  [[nodiscard]] virtual std::span<const Detection> decode(const accel::Session& session,
                                                          const accel::FrameMapping& mapping) = 0;
};

/// Checks the outputs' shapes and types against the card once. Decoders:
/// - ssd: boxes [1,n,4] as (y,x,h,w) deltas to anchors, scores [1,n,classes+1]
///   (tensorflow/lite/kernels/detection_postprocess.cc, the "fast" path: best class of each anchor);
/// - anchor_free: for each level boxes [1,h,w,4], the distances left, top, right, bottom from the cell's centre
///   ((column + 0.5) * stride) in strides, and scores [1,h,w,classes], 0..1. Box tensors are told from scores by the
///   number of labels, by their names (box, score), or by the scores' quantisation (scale 1/256);
/// - yolox: [1,cells,5+classes]: x, y offsets and log w, h in strides; objectness and class scores 0..1
///   (arXiv:2107.08430; demo/utils.py of the reference implementation); or for each level boxes [1,h,w,4], objectness
///   [1,h,w,1] and classes [1,h,w,classes], so that each has a scale of its own (as the optimiser writes them);
/// - yolov8: [1,4+classes,cells] or [1,cells,4+classes]: centre x, y, w, h in px or 0..1, scores 0..1;
/// - classification: [1,n] or [1,1,1,n] (i8, u8, i16 or f32).
/// Errors: unsupported/invalid_argument, naming the tensor and what was expected.
base::Result<std::unique_ptr<Decoder>> make_decoder(const ModelCard& card, const accel::Session& session);

}  // namespace wayside::agent
