// SPDX-License-Identifier: Apache-2.0
// A small graph with every operator that the writer knows, with seeded weights; for the tests of quantiser and writer.
#pragma once

#include <cstdint>
#include <random>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

inline ir::Graph small_graph(std::uint64_t seed) {
  ir::Builder builder;
  const auto picture = builder.input("picture", {1, 16, 16, 3});
  const auto stem = builder.conv(picture, "stem", 8, 3, 2, ir::Activation::relu6, false);
  const auto spread = builder.depthwise(stem, "spread", 3, 2, ir::Activation::relu6, false);
  const auto mixed = builder.conv(spread, "mixed", 8, 1, 1, ir::Activation::none, false);
  const auto up = builder.resize_nearest(mixed, "up");
  const auto sum = builder.add(stem, up, "sum", ir::Activation::none);
  builder.output(builder.conv(sum, "boxes_2", 4, 1, 1, ir::Activation::relu, false));
  const auto scores = builder.conv(sum, "scores_2", 2, 1, 1, ir::Activation::none, false);
  builder.output(scores);
  ir::Graph graph = builder.take();
  std::mt19937_64 random(seed);
  const auto draw = [&] { return static_cast<float>(static_cast<double>(random() >> 11) * 0x1.0p-52 - 1); };  // -1..1
  for (auto& op : graph.ops) {
    for (float& weight : op.weight) weight = 0.4F * draw();
    for (float& bias : op.bias) bias = 0.2F * draw();
  }
  return graph;
}

}  // namespace wayside::optimizer
