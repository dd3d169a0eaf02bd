// SPDX-License-Identifier: Apache-2.0
// MobileNetV1-like trunk (arXiv 1704.04861) with residual sums from stride 8 on, FPN-like neck (arXiv 1612.03144).
#include "optimizer/detector/network.h"

#include <format>

namespace wayside::optimizer {
namespace {

using ir::Activation;
using ir::TensorId;

/// Depthwise 3x3, then pointwise; `residual` adds the input when the shapes allow it.
TensorId separable(ir::Builder& builder, TensorId in, const std::string& name, int channels, int stride,
                   bool residual = false) {
  const TensorId spread = builder.depthwise(in, name + "/depthwise", 3, stride, Activation::relu6, true);
  const TensorId mixed = builder.conv(spread, name + "/pointwise", channels, 1, 1, Activation::relu6, true);
  return residual ? builder.add(in, mixed, name + "/sum", Activation::none) : mixed;
}

std::array<TensorId, 3> trunk(ir::Builder& builder, TensorId picture, const NetworkOptions& options) {
  std::array<TensorId, 3> levels{};
  TensorId x = builder.conv(picture, "stem", options.stem_channels, 3, 2, Activation::relu6, true);
  for (std::size_t s = 0; s < options.stages.size(); ++s) {
    const Stage& stage = options.stages[s];
    for (int b = 0; b < stage.blocks; ++b) {
      const bool first = b == 0;
      // The sums of the last block of a stage would add nothing to the lateral; at stride 4 they cost memory traffic.
      x = separable(builder, x, std::format("stage{}/block{}", s, b), stage.channels, first ? 2 : 1, !first && s > 0);
    }
    if (s > 0) levels[s - 1] = x;
  }
  return levels;
}

}  // namespace

base::Result<Network> make_network(const NetworkOptions& options) {
  if (options.width_px <= 0 || options.height_px <= 0 || options.width_px % 32 != 0 || options.height_px % 32 != 0) {
    return base::fail(base::Code::invalid_argument,
                      std::format("network input {}x{}: both sides must be positive multiples of 32", options.width_px,
                                  options.height_px));
  }
  ir::Builder builder;
  const TensorId picture = builder.input("picture", {1, options.height_px, options.width_px, 3});
  const auto features = trunk(builder, picture, options);

  std::array<TensorId, 3> merged{};
  for (std::size_t level = 3; level-- > 0;) {
    const std::string name = std::format("neck{}", kStrides[level]);
    TensorId x = builder.conv(features[level], name + "/lateral", options.neck_channels, 1, 1, Activation::relu6, true);
    if (level < 2) {
      const TensorId above = builder.resize_nearest(merged[level + 1], name + "/up");
      x = builder.add(x, above, name + "/sum", Activation::none);
    }
    merged[level] = separable(builder, x, name + "/smooth", options.neck_channels, 1);
  }

  Network network;
  std::size_t outputs = 0;
  for (std::size_t level = 0; level < 3; ++level) {
    const int stride = kStrides[level];
    const TensorId box_tower =
        separable(builder, merged[level], std::format("box{}/tower", stride), options.neck_channels, 1);
    const TensorId score_tower =
        separable(builder, merged[level], std::format("score{}/tower", stride), options.neck_channels, 1);
    builder.output(builder.conv(box_tower, std::format("boxes_{}", stride), 4, 1, 1, Activation::none, false));
    builder.output(builder.conv(score_tower, std::format("scores_{}", stride), options.class_count, 1, 1,
                                Activation::none, false));
    network.levels[level] = {stride, options.height_px / stride, options.width_px / stride, outputs, outputs + 1};
    outputs += 2;
  }
  network.graph = builder.take();
  return network;
}

}  // namespace wayside::optimizer
