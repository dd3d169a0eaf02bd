// SPDX-License-Identifier: Apache-2.0
// Head: what the outputs of a detection network mean: numbers in, boxes out; one file for each family.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/detector/decode.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// - ssd: [.,4n] (loc) and [.,(1+classes)n] (scores, the background's first) over n priors. Liu et al., SSD,
///   arXiv 1512.02325, section 2.2 (code type centre-size, variances). Pictures are stretched.
/// - yolox: [1,cells,5+classes] or [1,5+classes,cells], strides 8, 16, 32: x, y offsets and log w, h in strides,
///   objectness and class scores 0..1. Ge et al., YOLOX, arXiv 2107.08430; demo/utils.py of the reference
///   implementation. Letterbox, filled with 114.
/// - yolov8: [1,4+classes,cells] or [1,cells,4+classes]: centre x, y, w, h in px or fractions of the input, scores
/// 0..1.
///   Letterbox, filled with 114.
/// - yunet: cls_S, obj_S, bbox_S, kps_S for the strides S = 8, 16, 32: see yunet.h. Letterbox, filled with 0.
/// - fastestdet: [1,5+classes,rows,columns]: objectness, offsets of the centre before tanh in cells, w and h before the
///   logistic as fractions of the picture, class scores; score = objectness^0.6 * class^0.4. test.py and utils/tool.py
///   of dog-qiuqiu/FastestDet. Pictures are stretched.
enum class HeadKind : std::uint8_t { ssd, yolox, yolov8, yunet, fastestdet };
[[nodiscard]] std::string_view to_string(HeadKind kind);
[[nodiscard]] std::optional<HeadKind> head_kind(std::string_view name);

/// How a picture becomes the network's input: stretched to its size, or scaled as a whole into the top left corner.
struct PictureFit {
  bool letterbox = false;
  std::uint8_t pad = 0;  ///< letterbox: what fills the rest
};
[[nodiscard]] PictureFit picture_fit(HeadKind kind);

struct Head {
  int class_count = 0;
  float iou_threshold = 0.45F;  ///< of the suppression that its authors evaluate it with
  /// The outputs in the order of the graph's; every box from kLeastScore on, in px of its input, before suppression.
  /// Thread-safe.
  std::function<std::vector<Detection>(std::span<const std::vector<float>>)> decode;
};

struct HeadSpec {
  HeadKind kind = HeadKind::ssd;
  std::filesystem::path priors;  ///< ssd: .npy, float32 [1,2,4n]: corners in 0..1, then variances
};

/// `graph`: the imported network, with one picture of 3 channels as input. Errors: unsupported (outputs that do not
/// fit, with their shapes and what was expected), and those of reading the priors.
base::Result<Head> make_head(const HeadSpec& spec, const ir::Graph& graph);

}  // namespace wayside::optimizer
