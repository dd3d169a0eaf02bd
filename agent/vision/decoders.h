// SPDX-License-Identifier: Apache-2.0
// The factories behind make_decoder(), one file each, and what they share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/vision/decoder.h"

namespace wayside::agent {

base::Result<std::unique_ptr<Decoder>> make_ssd_decoder(const ModelCard& card, const accel::Session& session);
base::Result<std::unique_ptr<Decoder>> make_anchor_free_decoder(const ModelCard& card, const accel::Session& session);
base::Result<std::unique_ptr<Decoder>> make_yolox_decoder(const ModelCard& card, const accel::Session& session);
base::Result<std::unique_ptr<Decoder>> make_yolov8_decoder(const ModelCard& card, const accel::Session& session);
base::Result<std::unique_ptr<Decoder>> make_classification_decoder(const ModelCard& card,
                                                                   const accel::Session& session);

/// "'name' i8 [1,20,20,4]", for messages.
[[nodiscard]] std::string describe(const accel::TensorInfo& info);
/// All outputs, for messages.
[[nodiscard]] std::string describe_outputs(const accel::Session& session);

/// Width and height of a [1,H,W,C] input.
struct InputSize {
  std::uint32_t width_px = 0, height_px = 0;
};
base::Result<InputSize> input_size(const accel::Session& session);

/// i8 and u8 with a scale > 0, or f32. Error: unsupported, naming the tensor.
base::Result<void> check_readable(const accel::TensorInfo& info);
/// The card's labels, where it has any, must be as many as the model has classes.
base::Result<void> check_labels(const ModelCard& card, std::size_t class_count);

/// One level of an anchor-free head.
struct HeadLevel {
  std::size_t box_output = 0, score_output = 0;  ///< indices into Session::outputs()
  std::uint32_t width = 0, height = 0;           ///< cells
  std::uint32_t stride_px = 0;
};
struct AnchorFreeHead {
  std::vector<HeadLevel> levels;  ///< finest first
  std::size_t class_count = 0;
};
/// Pairs the outputs by size. Errors: unsupported, naming what does not fit.
base::Result<AnchorFreeHead> find_anchor_free_head(const ModelCard& card, const accel::Session& session);

}  // namespace wayside::agent
