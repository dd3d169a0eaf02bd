// SPDX-License-Identifier: Apache-2.0
// The factories behind make_decoder(), one file each, and what they share.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

/// Outputs by the rows and columns of their level, most first, each level's in the model's order. Errors: unsupported
/// where one cannot be read or is not [1,h,w,channels]; `type` and `wanted` are for the message.
base::Result<std::map<std::pair<std::int32_t, std::int32_t>, std::vector<std::size_t>, std::greater<>>>
outputs_by_level(const accel::Session& session, std::string_view type, std::string_view wanted);
/// "decoder type yolox: levels differ in their number of classes; outputs: .."
[[nodiscard]] std::unexpected<base::Error> unfit_outputs(const accel::Session& session, std::string_view type,
                                                         std::string_view why);

/// A cell's number, counted through all levels, as its level and its number there.
template <class Level>
struct LevelCell {
  const Level* level;
  std::uint32_t cell;
};
template <class Level>
LevelCell<Level> level_of(const std::vector<Level>& levels, std::uint32_t cell) {
  const Level* level = levels.data();
  for (; cell >= level->width * level->height; ++level) cell -= level->width * level->height;
  return {level, cell};
}

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
