// SPDX-License-Identifier: Apache-2.0
// A network that is only its outer shapes, for the tests of heads.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "optimizer/heads/head.h"

namespace wayside::optimizer {

inline ir::Graph outputs_only(ir::Shape input, const std::vector<std::pair<std::string, ir::Shape>>& outputs) {
  ir::Graph graph;
  graph.tensors.push_back({.name = "picture", .shape = std::move(input)});
  graph.inputs = {0};
  for (const auto& [name, shape] : outputs) {
    graph.outputs.push_back(graph.tensors.size());
    graph.tensors.push_back({.name = name, .shape = shape});
  }
  return graph;
}

inline void expect_box(const Detection& found, const LabelBox& wanted, float score) {
  EXPECT_NEAR(found.box.x0, wanted.x0, 1e-4);
  EXPECT_NEAR(found.box.y0, wanted.y0, 1e-4);
  EXPECT_NEAR(found.box.x1, wanted.x1, 1e-4);
  EXPECT_NEAR(found.box.y1, wanted.y1, 1e-4);
  EXPECT_EQ(found.box.class_id, wanted.class_id);
  EXPECT_NEAR(found.score, score, 1e-6);
}

/// The message names the head, what it wants and what is there.
inline void expect_refused(const HeadSpec& spec, const ir::Graph& graph, const std::string& part) {
  const auto head = make_head(spec, graph);
  ASSERT_FALSE(head) << part;
  EXPECT_TRUE(head.error().message.contains("head " + std::string(to_string(spec.kind)))) << head.error().message;
  EXPECT_TRUE(head.error().message.contains(part)) << head.error().message;
}

}  // namespace wayside::optimizer
